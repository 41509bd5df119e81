"""The receiver's pages for people: rendered here, whole without JavaScript, and every write goes through `People`."""
