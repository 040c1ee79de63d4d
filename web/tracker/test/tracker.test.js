// The built file in conditions a browser test can't make cheaply. The proof in a
// real browser stands in ../browser_test.go.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import vm from "node:vm";
import { gzipSync } from "node:zlib";

const source = readFileSync(new URL("../dist/tracker.js", import.meta.url), "utf8");

test("is small", () => {
  assert.ok(gzipSync(source, { level: 9 }).length < 4096);
});

test("does nothing and throws nothing where there is no document", () => {
  assert.doesNotThrow(() => vm.runInNewContext(source, {}));
});

test("throws nothing on a page where every browser feature throws", () => {
  const hostile = new Proxy(function () {}, {
    get() { throw new Error("denied"); },
    apply() { throw new Error("denied"); },
    construct() { throw new Error("denied"); },
  });
  for (const name of ["localStorage", "navigator", "location", "history", "crypto", "fetch", "URL", "document"]) {
    const page = { URL, URLSearchParams, console, setTimeout, clearTimeout, addEventListener() {}, document: { currentScript: { dataset: { writeKey: "k" }, src: "http://a/tracker.js" }, cookie: "" } };
    page.window = page;
    page[name] = hostile;
    assert.doesNotThrow(() => vm.runInNewContext(source, page), name);
  }
});
