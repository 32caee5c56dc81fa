// Drops from a style sheet the rules whose classes no page names. A class counts as named when its
// word stands anywhere in a template or script: write class names whole, never assemble them.

export const wordsOf = (text) => new Set(text.match(/[A-Za-z][\w-]*/g));

// One level of a style sheet as [prelude, body | null] pairs (body null: a plain statement).
function* blocks(css) {
  let at = 0;
  while (at < css.length) {
    const end = scan(css, at, "{;");
    if (end >= css.length) return;
    const prelude = css.slice(at, end).trim();
    if (css[end] === ";") {
      yield [prelude, null];
      at = end + 1;
      continue;
    }
    const close = scan(css, end + 1, "}");
    yield [prelude, css.slice(end + 1, close)];
    at = close + 1;
  }
}

// Index of the first of `stops` at this level: strings, comments, brackets and inner blocks skipped.
function scan(css, from, stops) {
  let depth = 0;
  for (let i = from; i < css.length; i++) {
    const c = css[i];
    if (c === "/" && css[i + 1] === "*") i = css.indexOf("*/", i + 2) + 1;
    else if (c === "\\") i++;
    else if (c === '"' || c === "'") i = endOfString(css, i);
    else if (depth === 0 && stops.includes(c)) return i;
    else if ("{([".includes(c)) depth++;
    else if ("})]".includes(c)) depth--;
  }
  return css.length;
}

function endOfString(css, from) {
  for (let i = from + 1; i < css.length; i++) {
    if (css[i] === "\\") i++;
    else if (css[i] === css[from]) return i;
  }
  return css.length;
}

function selectorsOf(prelude) {
  const found = [];
  for (let at = 0; at <= prelude.length; ) {
    const end = scan(prelude, at, ",");
    found.push(prelude.slice(at, end).trim());
    at = end + 1;
  }
  return found;
}

function inUse(selector, words) {
  const plain = selector.replace(/:(not|is|where|has)\([^)]*\)/g, "").replace(/\[[^\]]*\]/g, "");
  const classes = plain.match(/\.-?[A-Za-z_](?:[\w-]|\\.)*/g) ?? [];
  return classes.every((c) => words.has(c.slice(1).replace(/\\/g, "")));
}

function keep(css, words) {
  let out = "";
  for (const [prelude, body] of blocks(css.replace(/\/\*[^]*?\*\//g, ""))) {
    if (body === null) out += prelude.startsWith("@charset") ? "" : `${prelude};`;
    else if (/^@(media|supports|layer|container)/.test(prelude)) {
      const inner = keep(body, words);
      if (inner) out += `${prelude}{${inner}}`;
    } else if (prelude.startsWith("@font-face")) continue; // ours are in fonts.css
    else if (prelude.startsWith("@")) out += `${prelude}{${body}}`;
    else {
      const selectors = selectorsOf(prelude).filter((s) => inUse(s, words));
      if (selectors.length) out += `${selectors.join(",")}{${body}}`;
    }
  }
  return out;
}

// Keyframes and custom properties that nothing left over refers to.
function dropUnreferenced(css) {
  const frames = css.replace(/@(?:-webkit-)?keyframes ([\w-]+)\{(?:[^{}]*\{[^{}]*\})*\}/g, (whole, name) =>
    new RegExp(`animation[^;}]*\\b${name}\\b`).test(css) ? whole : "",
  );
  const used = new Set([...frames.matchAll(/var\(\s*(--[\w-]+)/g)].map((m) => m[1]));
  return frames.replace(/([{;])(--[\w-]+):(?:"[^"]*"|[^;{}"])*(?=[;}])/g, (whole, before, name) =>
    used.has(name) ? whole : before,
  );
}

export function purge(css, words) {
  let now = keep(css, words);
  for (let before = ""; before !== now; ) {
    before = now;
    now = dropUnreferenced(now).replace(/;+/g, ";").replace(/\{;/g, "{");
  }
  return now;
}
