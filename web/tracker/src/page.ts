import { safely } from "./safely";
import type { Session } from "./identity";
import type { Purposes } from "./consent";

export type Properties = Record<string, unknown>;

/** The address without its fragment, unless the site routes by it. */
export function address(): string {
  const { href, hash } = location;
  return /^#[/!]/.test(hash) ? href : href.split("#")[0]!;
}

export function pageProperties(referrer: string): Properties {
  return { url: address(), path: location.pathname, search: location.search, title: document.title, referrer };
}

export function context(page: Properties, session: Session, version: string, consent: boolean | Purposes | undefined): Properties {
  return {
    page,
    userAgent: navigator.userAgent,
    locale: navigator.language,
    timezone: safely(() => Intl.DateTimeFormat().resolvedOptions().timeZone),
    screen: { width: screen.width, height: screen.height, density: devicePixelRatio },
    sessionId: session.id,
    campaign: session.campaign,
    ms_message: session.message,
    consent: typeof consent === "object" ? { categoryPreferences: consent } : undefined,
    library: { name: "madansara.js", version },
  };
}
