// Builds the console's styles and scripts into webapp/static/dist: hashed names, and a manifest that `asset()` reads.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const source = join(here, "src");
const target = join(here, "dist");
const watching = process.argv.includes("--watch");

const hashed = (name, content) => {
  const digest = createHash("sha256").update(content).digest("hex").slice(0, 10);
  return name.replace(/(\.[a-z0-9]+)$/, `.${digest}$1`);
};

const sprite = async () => {
  const names = (await readFile(join(source, "icons.txt"), "utf8")).split(/\s+/).filter(Boolean);
  const symbols = await Promise.all(
    names.map(async (name) => {
      const svg = await readFile(join(root, "node_modules", "bootstrap-icons", "icons", `${name}.svg`), "utf8");
      const box = svg.match(/viewBox="([^"]+)"/)[1];
      const inner = svg.replace(/^[\s\S]*?<svg[^>]*>/, "").replace(/<\/svg>\s*$/, "").trim();
      return `<symbol id="${name}" viewBox="${box}">${inner}</symbol>`;
    }),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>\n`;
};

const write = async (files) => {
  await mkdir(target, { recursive: true });
  const manifest = {};
  for (const [name, content] of files) {
    manifest[name] = hashed(name, content);
    await writeFile(join(target, manifest[name]), content);
  }
  await writeFile(join(target, "manifest.json"), `${JSON.stringify(manifest, null, 1)}\n`);
  const kept = new Set([...Object.values(manifest), "manifest.json"]);
  for (const file of await readdir(target)) if (!kept.has(file)) await rm(join(target, file));
};

const collect = {
  name: "collect",
  setup(build) {
    build.onEnd(async (result) => {
      if (result.errors.length) return;
      const files = result.outputFiles.map((file) => [basename(file.path), file.contents]);
      files.push(["icons.svg", await sprite()], ["mark.svg", await readFile(join(source, "mark.svg"))]);
      await write(files);
    });
  },
};

const options = {
  entryPoints: ["app.js", "editor.js", "expression.js", "table.js", "theme.js", "app.css", "table.css"].map((name) => join(source, name)),
  absWorkingDir: root,
  outdir: target,
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  target: ["es2022", "chrome110", "firefox115", "safari16"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  loader: { ".svg": "dataurl" },
  plugins: [collect],
};

if (watching) await (await esbuild.context(options)).watch();
else await esbuild.build(options);
