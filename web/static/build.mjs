// Builds dist/ from the pinned packages and src/: `npm ci && npm run build`. The result is committed and embedded.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";

const dist = new URL("dist/", import.meta.url);
await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });

await build({
  entryPoints: { app: "src/app.js" },
  absWorkingDir: import.meta.dirname,
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  legalComments: "none",
});
await build({
  entryPoints: { charts: "src/charts.js" },
  absWorkingDir: import.meta.dirname,
  outdir: "dist",
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "echarts",
  target: "es2022",
  legalComments: "none",
});
await build({
  entryPoints: ["src/app.css"],
  absWorkingDir: import.meta.dirname,
  outdir: "dist",
  minify: true,
  target: ["chrome120", "firefox120", "safari17"],
});

await copyFile(new URL("src/logo.svg", import.meta.url), new URL("logo.svg", dist));

const lock = JSON.parse(await readFile(new URL("package-lock.json", import.meta.url), "utf8"));
const vendored = [
  { name: "echarts", files: ["LICENSE", "NOTICE", "licenses/LICENSE-d3"] },
  { name: "zrender", files: ["LICENSE"] },
  { name: "tslib", files: ["LICENSE.txt"] },
  { name: "htmx.org", files: ["LICENSE"] },
];
let notices = "What the files in this folder contain, with the licences of their authors.\n";
for (const { name, files } of vendored) {
  const version = lock.packages[`node_modules/${name}`].version;
  notices += `\n${"=".repeat(78)}\n${name} ${version}\n${"=".repeat(78)}\n`;
  for (const file of files) {
    notices += "\n" + (await readFile(new URL(`node_modules/${name}/${file}`, import.meta.url), "utf8"));
  }
}
await writeFile(new URL("LICENSES.txt", dist), notices.replaceAll("\r\n", "\n"));

const htmx = await readFile(new URL("node_modules/htmx.org/dist/htmx.min.js", import.meta.url), "utf8");
// The source map is not shipped, so its reference would be a 404 in every developer console.
await writeFile(new URL("htmx.js", dist), htmx.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n"));
