// Bundles the pages' styles and scripts into portal/static/dist, under names that carry a hash of
// their content, with a manifest (logical name -> file) and .br/.gz copies. Nothing from npm is
// committed: fonts and icons are copied out of node_modules here, and only the parts in use.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { purge, wordsOf } from "./purge.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "static", "dist");
const templates = join(here, "..", "templates");
const italia = join(here, "node_modules", "bootstrap-italia", "dist");
const brotli = promisify(zlib.brotliCompress);
const gzip = promisify(zlib.gzip);

async function filesUnder(folder) {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found.filter((e) => e.isFile()).map((e) => join(e.parentPath ?? e.path, e.name));
}

const texts = async (paths) => (await Promise.all(paths.map((p) => readFile(p, "utf8")))).join("\n");

// Whole Bootstrap Italia is 612 kB; what our templates and its own plugins name is a tenth of it.
function bootstrapItalia(words) {
  return {
    name: "bootstrap-italia-in-use",
    setup(b) {
      b.onLoad({ filter: /bootstrap-italia\.min\.css$/ }, async ({ path }) => ({
        contents: purge(await readFile(path, "utf8"), words),
        loader: "css",
        resolveDir: dirname(path),
      }));
    },
  };
}

async function bundle(words) {
  const src = join(here, "src");
  const result = await build({
    absWorkingDir: here,
    entryPoints: ["site", "console", "chat"].flatMap((name) => [
      join(src, "css", `${name}.css`),
      join(src, "js", `${name}.js`),
    ]),
    outdir: out,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome109", "firefox115", "safari16"],
    legalComments: "eof",
    entryNames: "[name].[hash]",
    assetNames: "[name].[hash]",
    loader: { ".woff2": "file", ".svg": "file" },
    metafile: true,
    // Bootstrap Italia says that its plugins have no side effects; they listen from their import on.
    ignoreAnnotations: true,
    plugins: [bootstrapItalia(words)],
  });
  const manifest = {};
  for (const [path, { entryPoint }] of Object.entries(result.metafile.outputs)) {
    const file = basename(path);
    const logical = entryPoint ? basename(entryPoint) : file.replace(/\.[A-Z0-9]{8}\./, ".");
    manifest[logical] = file;
  }
  return manifest;
}

async function put(manifest, name, bytes) {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 8).toUpperCase();
  const file = `${basename(name, extname(name))}.${hash}${extname(name)}`;
  await writeFile(join(out, file), bytes);
  manifest[name] = file;
}

// Only the symbols that a template or a script names: 2 kB instead of 94.
async function sprite(source) {
  const all = await readFile(join(italia, "svg", "sprites.svg"), "utf8");
  const known = new Map([...all.matchAll(/<symbol id="(it-[\w-]+)".*?<\/symbol>/gs)].map((m) => [m[1], m[0]]));
  const wanted = [...new Set(source.match(/\bit-[a-z0-9-]+/g))].filter((id) => known.has(id)).sort();
  return `<svg xmlns="http://www.w3.org/2000/svg">${wanted.map((id) => known.get(id)).join("")}</svg>`;
}

async function compress(file) {
  if (/\.woff2$/.test(file)) return; // compressed already
  const bytes = await readFile(join(out, file));
  const params = { [zlib.constants.BROTLI_PARAM_QUALITY]: 11 };
  const small = await brotli(bytes, { params });
  await writeFile(join(out, `${file}.br`), small);
  await writeFile(join(out, `${file}.gz`), await gzip(bytes, { level: 9 }));
  console.log(`${file.padEnd(30)} ${(bytes.length / 1000).toFixed(1)} kB, br ${(small.length / 1000).toFixed(1)} kB`);
}

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const own = await texts([...(await filesUnder(templates)), ...(await filesUnder(join(here, "src", "js")))]);
const plugins = ["navbar-collapsible", "base-component", "util/backdrop"];
const named = await texts(plugins.map((p) => join(italia, "plugins", `${p}.js`)));
const manifest = await bundle(wordsOf(own + named));
await put(manifest, "sprites.svg", await sprite(own));
await put(manifest, "favicon.svg", await readFile(join(here, "src", "img", "favicon.svg")));
const licences = ["bootstrap-italia/LICENSE", "htmx.org/LICENSE", "bootstrap-italia/dist/fonts/Titillium_Web/OFL.txt"];
await writeFile(join(out, "LICENCES.txt"), await texts(licences.map((l) => join(here, "node_modules", l))));
await Promise.all(Object.values(manifest).map(compress));
await writeFile(join(out, "manifest.json"), `${JSON.stringify(manifest, null, 1)}\n`);
