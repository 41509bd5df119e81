// What a screen reader and weak eyes need, as a list of what is missing.
() => {
  const missing = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const seen = (node) => node.checkVisibility() && node.getClientRects().length > 0;
  const text = (node) => (node.getAttribute("aria-label") || node.textContent || "").trim();

  if (!document.documentElement.lang) missing.push("no language");
  if (!document.title) missing.push("no title");
  if (all("h1").length !== 1) missing.push(`${all("h1").length} main headings`);
  if (all("main").length !== 1 || all("body > header").length !== 1) missing.push("landmarks");
  let level = 0;
  for (const heading of all("h1, h2, h3, h4")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) missing.push(`heading ${text(heading)} skips a level`);
    level = own;
  }
  const ids = all("[id]").map((node) => node.id);
  for (const id of new Set(ids)) if (ids.filter((each) => each === id).length > 1) missing.push(`id ${id} twice`);
  for (const node of all("[aria-labelledby], [aria-describedby]")) {
    for (const id of (node.getAttribute("aria-labelledby") || node.getAttribute("aria-describedby")).split(" ")) {
      if (!document.getElementById(id)) missing.push(`nothing has the id ${id}`);
    }
  }
  for (const node of all("input:not([type=hidden]), select, textarea")) {
    if (!node.labels.length) missing.push(`no label: ${node.outerHTML}`);
  }
  for (const node of all("a[href], button, summary")) if (!text(node)) missing.push(`no name: ${node.outerHTML}`);
  for (const node of all("svg")) {
    if (!node.getAttribute("aria-label") && !node.hasAttribute("aria-hidden")) missing.push("a picture without words");
  }
  for (const node of all("button, summary, select, input:not([type=hidden])").filter(seen)) {
    if (node.getBoundingClientRect().height < 24) missing.push(`too small to hit: ${text(node)}`);
  }
  for (const node of all("th")) if (!node.scope) missing.push("a table heading without scope");

  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = color.map((each) => (each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !seen(node) || node.closest("svg")) continue;
    const [a, b] = [light(channels(getComputedStyle(node).color).slice(0, 3)), light(behind(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) missing.push(`contrast ${contrast.toFixed(2)}: ${walker.currentNode.data.trim()}`);
  }
  return missing;
}
