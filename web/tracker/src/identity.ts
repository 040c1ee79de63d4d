import { forget, read, readCookie, write, writeCookie } from "./store";
import { safely, uuid } from "./safely";

const ANONYMOUS = "ms_aid";
const USER = "ms_uid";
const SESSION = "ms_sid";
const YEAR = 31536000;
const INACTIVITY = 1800; // seconds without an event that end a session

export interface Arrival {
  campaign?: Record<string, string>;
  /** The message of ours whose link brought the visitor. */
  message?: string;
}

export interface Session extends Arrival {
  id: string;
  /** Milliseconds since 1970 of the last event. */
  last: number;
}

export function anonymousId(): string {
  let id = read(ANONYMOUS) ?? readCookie(ANONYMOUS);
  if (!id || !/^[\w-]{8,64}$/.test(id)) id = uuid();
  if (id !== read(ANONYMOUS)) write(ANONYMOUS, id);
  // Rewritten each time: a visitor who returns within the year stays the same.
  writeCookie(ANONYMOUS, id, YEAR);
  return id;
}

export function userId(id?: string): string | null {
  if (id) write(USER, id);
  return read(USER);
}

/** Reads how the visitor came to this address. */
export function arrival(search: string): Arrival {
  const parameters = new URLSearchParams(search);
  const campaign: Record<string, string> = {};
  parameters.forEach((value, key) => {
    if (/^utm_(source|medium|campaign|term|content)$/.test(key) && value) {
      campaign[key === "utm_campaign" ? "name" : key.slice(4)] = value.slice(0, 200);
    }
  });
  const found: Arrival = {};
  if (Object.keys(campaign).length) found.campaign = campaign;
  const message = parameters.get("ms_message");
  if (message) found.message = message.slice(0, 100);
  return found;
}

/**
 * The session of an event that happens now. Half an hour of silence starts
 * another, and so does coming again through another campaign or message.
 */
export function session(now: number, from: Arrival): Session {
  let current = safely(() => JSON.parse(read(SESSION) ?? "") as Session | null);
  const key = (a: Arrival) => JSON.stringify([a.campaign, a.message]);
  const arrived = from.campaign || from.message;
  if (!current?.id || !(now - current.last < INACTIVITY * 1000) || (arrived && key(from) !== key(current))) {
    current = { ...from, id: uuid(), last: now };
  }
  current.last = now;
  write(SESSION, JSON.stringify(current));
  writeCookie(SESSION, current.id, INACTIVITY);
  return current;
}

export function forgetIdentity(): void {
  for (const key of [ANONYMOUS, USER, SESSION]) {
    forget(key);
    if (readCookie(key) !== undefined) writeCookie(key, "", 0);
  }
}
