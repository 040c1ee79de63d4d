import type { Properties } from "./page";

const CLICKABLE = "[data-ms-event],a[href],button,[role=button],input[type=submit],input[type=button]";
const FIELDS = "input,textarea,select,[contenteditable]";

/**
 * What a click on that element tells, or undefined when it tells nothing: the
 * label and the place it leads to. Never what a visitor typed or chose, never
 * below data-ms-private.
 */
export function click(target: EventTarget | null): { name: string; properties: Properties } | undefined {
  const element = target instanceof Element ? target.closest<HTMLElement>(CLICKABLE) : null;
  if (!element || element.closest("[data-ms-private],[contenteditable]")) return undefined;
  const named = element.getAttribute("data-ms-event");
  if (!named && target instanceof Element && target.closest("textarea,select")) return undefined;
  return {
    name: named || "Element Clicked",
    properties: { text: label(element), tag: element.tagName.toLowerCase(), id: element.id || undefined, href: destination(element) },
  };
}

function label(element: HTMLElement): string | undefined {
  if (element.matches(FIELDS) || element.querySelector(FIELDS)) return undefined;
  const text = element.getAttribute("aria-label") || element.textContent || "";
  // A mail address in a label ("Log out ann@example.org") is somebody's.
  return text.replace(/\S+@\S+/g, "").replace(/\s+/g, " ").trim().slice(0, 80) || undefined;
}

/** Without the query, which may carry a token; of mailto: and tel: only that they are. */
function destination(element: HTMLElement): string | undefined {
  if (!(element instanceof HTMLAnchorElement)) return undefined;
  return /^https?:$/.test(element.protocol) ? element.origin + element.pathname : element.protocol;
}
