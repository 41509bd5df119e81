"""`airbag certificates`: a small site's own authorities, and a certificate for each part."""
