import { click } from "./clicks";
import { allowed, decide, decided, type Purposes } from "./consent";
import { anonymousId, arrival, forgetIdentity, session, userId } from "./identity";
import { address, context, pageProperties, type Properties } from "./page";
import { Queue } from "./queue";
import { safely, uuid } from "./safely";

const VERSION = "0.1.0";

/** What window.madansara offers once the script has run. */
export interface Madansara {
  page(name?: string, properties?: Properties): void;
  track(event: string, properties?: Properties): void;
  identify(userId?: string | Properties | null, traits?: Properties): void;
  consent(granted: boolean | Purposes): void;
  reset(): void;
  /** Takes a call as a list, such as ["track", "Signed Up"]; works before loading too. */
  push(...calls: unknown[][]): void;
  version: string;
}

function start(script: HTMLScriptElement): void {
  const writeKey = script.dataset["writeKey"];
  const required = script.dataset["consent"] === "required";
  if (!writeKey) {
    console.warn("madansara: the script tag has no data-write-key, so nothing is recorded");
    return;
  }
  const host = script.dataset["host"] || new URL(script.src).origin;
  const may = () => allowed(required);
  const queue = new Queue(host.replace(/\/$/, "") + "/v1/batch", writeKey, may);
  let referrer = document.referrer;
  let shown = "";

  function forgetAll(): void {
    forgetIdentity();
    queue.clear();
  }

  function record(type: string, fields: Properties): void {
    if (!may()) return;
    const now = Date.now();
    const current = session(now, arrival(location.search));
    queue.add({
      type,
      messageId: uuid(),
      anonymousId: anonymousId(),
      userId: userId() ?? undefined,
      timestamp: new Date(now).toISOString(),
      ...fields,
      context: context(pageProperties(referrer), current, VERSION, decided()),
    });
  }

  const api: Omit<Madansara, "push" | "version"> = {
    page(name, properties) {
      shown = address();
      record("page", { name, properties: { ...pageProperties(referrer), ...properties } });
    },
    track(event, properties) {
      record("track", { event: String(event), properties: properties ?? {} });
    },
    identify(id, traits) {
      if (id && typeof id === "object") [id, traits] = [undefined, id];
      if (id && may()) userId(String(id));
      record("identify", { traits: traits ?? {} });
    },
    consent(granted) {
      const before = may();
      decide(granted);
      if (!may()) forgetAll();
      else if (!before) {
        queue.adopt();
        api.page();
      }
    },
    reset() {
      // What is queued happened, to the one who now leaves.
      forgetIdentity();
    },
  };

  function run(call: unknown): void {
    if (!Array.isArray(call)) return;
    const [name, ...values] = call as [string, ...never[]];
    safely(() => Object.prototype.hasOwnProperty.call(api, name) && (api[name as keyof typeof api] as (...v: never[]) => void)(...values));
  }

  // The page may hold the array that it pushed to, so it stays the same object.
  const given: unknown = (window as { madansara?: unknown }).madansara;
  const stub: unknown[] = Array.isArray(given) ? given : [];
  const waiting = stub.splice(0);
  const surface = stub as unknown as Record<string, unknown>;
  for (const name of Object.keys(api)) surface[name] = (...values: unknown[]) => run([name, ...values]);
  surface["push"] = (...calls: unknown[]) => calls.forEach(run);
  surface["version"] = VERSION;
  (window as { madansara?: unknown }).madansara = stub;

  // Consent counts from the first event on, wherever in the list it was given.
  const calls = waiting.filter((call) => {
    if (!Array.isArray(call) || call[0] !== "consent") return true;
    decide(call[1] as boolean);
    return false;
  });
  if (may()) queue.adopt();
  else forgetAll();
  if (!calls.some((call) => Array.isArray(call) && call[0] === "page")) run(["page"]);
  calls.forEach(run);

  watchPages((from) => {
    referrer = from;
    api.page();
  }, () => shown);
  addEventListener("click", (event) => safely(() => {
    const told = click(event.composedPath()[0] ?? event.target);
    if (told) api.track(told.name, told.properties);
  }), true);
  const leave = () => safely(() => may() && queue.leave());
  addEventListener("pagehide", leave);
  addEventListener("visibilitychange", () => document.visibilityState === "hidden" && leave(), true);
}

/** Calls turned when a page of a single-page site, or one out of the back-forward cache, is shown. */
function watchPages(turned: (from: string) => void, shown: () => string): void {
  // After the router has set the new title.
  const look = () => setTimeout(() => safely(() => {
    const from = shown();
    if (from !== address()) turned(from);
  }), 0);
  for (const name of ["pushState", "replaceState"] as const) {
    const original = history[name];
    history[name] = function (this: History, ...values: Parameters<History["pushState"]>) {
      original.apply(this, values);
      look();
    };
  }
  addEventListener("popstate", look);
  addEventListener("hashchange", look);
  addEventListener("pageshow", (event) => event.persisted && safely(() => turned(shown())));
}

safely(() => {
  if (typeof document === "undefined") return; // rendered on a server
  const script = document.currentScript as HTMLScriptElement | null;
  const loaded = (window as { madansara?: { version?: string } }).madansara?.version;
  if (!script || loaded) return;
  const page = document as Document & { prerendering?: boolean };
  // A page prepared in advance was not seen yet.
  if (page.prerendering) page.addEventListener("prerenderingchange", () => safely(() => start(script)), { once: true });
  else start(script);
});
