import { forget, keys, read, write } from "./store";
import { safely, uuid } from "./safely";

const PREFIX = "ms_q.";
const WAIT = "ms_wait";
const MAX_EVENTS = 200;
const MAX_BYTES = 256 * 1024;
const MAX_EVENT_BYTES = 32 * 1024; // the server's limit
// Browsers allow 64 KB for everything that is sent while a page leaves.
const MAX_BATCH_BYTES = 50 * 1024;
const MAX_BATCH = 50;
const TIMEOUT = 15000;
const LONGEST_WAIT = 60000;
const LONGEST_RETRY_AFTER = 3600000;

interface Item {
  json: string;
  bytes: number;
}

/**
 * Events on their way to the server: bounded, kept in localStorage until the
 * server took them, sent one batch at a time. Each tab has its own key, so tabs
 * never overwrite each other; a new page takes over what others left. An event
 * may so be sent twice: the server knows it again by its messageId.
 */
export class Queue {
  private items: Item[] = [];
  private readonly key = PREFIX + uuid();
  private sending: Item[] = [];
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly url: string,
    private readonly writeKey: string,
    /** Asked before each sending: the answer may change in another tab. */
    private readonly allowed: () => boolean,
  ) {}

  /** Takes over the events that earlier pages could not deliver. */
  adopt(): void {
    for (const key of keys()) {
      if (!key.startsWith(PREFIX) || key === this.key) continue;
      const left = safely(() => JSON.parse(read(key) ?? "") as string[]);
      for (const json of Array.isArray(left) ? left : []) {
        safely(() => JSON.parse(json).messageId && this.append(json));
      }
      forget(key);
    }
    this.save();
    this.schedule(0);
  }

  add<T extends { messageId: string }>(event: T): void {
    this.append(JSON.stringify(event));
    this.save();
    this.schedule(300);
  }

  /** Drops everything unsent, of other pages too. */
  clear(): void {
    this.items = [];
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const key of keys()) if (key.startsWith(PREFIX)) forget(key);
    forget(WAIT);
  }

  /**
   * The page may be gone after this. The events stay stored: whether a beacon
   * arrived is never known.
   */
  leave(): void {
    if (this.waiting() > 0 || !this.allowed()) return;
    const batch = this.batch();
    if (batch.length) navigator.sendBeacon(this.url, this.body(batch));
  }

  private append(json: string): void {
    const bytes = new Blob([json]).size;
    if (bytes > MAX_EVENT_BYTES) return;
    this.items.push({ json, bytes });
    // The oldest go first: the newest tell what the visitor became.
    let total = this.items.reduce((sum, item) => sum + item.bytes, 0);
    while (this.items.length > MAX_EVENTS || total > MAX_BYTES) total -= this.items.shift()!.bytes;
  }

  private save(): void {
    if (this.items.length) write(this.key, JSON.stringify(this.items.map((item) => item.json)));
    else forget(this.key);
  }

  private waiting(): number {
    return Math.min(Number(read(WAIT)) - Date.now(), LONGEST_RETRY_AFTER);
  }

  private schedule(delay: number): void {
    if (this.timer !== undefined || this.sending.length || !this.items.length) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      safely(() => this.send());
    }, Math.max(delay, this.waiting()));
  }

  /** The next events that are not on their way already. */
  private batch(): Item[] {
    let bytes = 0;
    const batch: Item[] = [];
    for (const item of this.items) {
      if (this.sending.includes(item)) continue;
      bytes += item.bytes;
      if (batch.length === MAX_BATCH || bytes > MAX_BATCH_BYTES) break;
      batch.push(item);
    }
    return batch;
  }

  /** A plain string is sent as text/plain, which needs no CORS preflight. */
  private body(batch: Item[]): string {
    return `{"writeKey":${JSON.stringify(this.writeKey)},"sentAt":"${new Date().toISOString()}","batch":[${batch.map((item) => item.json).join()}]}`;
  }

  private send(): void {
    if (!this.allowed()) return this.clear();
    const batch = this.batch();
    this.sending = batch;
    const abort = new AbortController();
    const timeout = setTimeout(() => abort.abort(), TIMEOUT);
    fetch(this.url, { method: "POST", body: this.body(batch), keepalive: true, credentials: "omit", signal: abort.signal })
      .then(
        (response) => {
          const status = response.status;
          if (status === 408 || status === 429 || status >= 500) this.postpone(response.headers.get("Retry-After"));
          // Taken, or refused for good: sending the same again would not help.
          else this.done();
        },
        () => this.postpone(null),
      )
      .catch(() => {})
      .then(() => {
        clearTimeout(timeout);
        this.sending = [];
        this.schedule(0);
      });
  }

  private done(): void {
    this.items = this.items.filter((item) => !this.sending.includes(item));
    this.failures = 0;
    forget(WAIT);
    this.save();
  }

  /** Waits as long as the server asks, else longer each time; never all visitors at once. */
  private postpone(retryAfter: string | null): void {
    const backoff = Math.min(LONGEST_WAIT, 1000 * 2 ** this.failures++);
    let asked = Number(retryAfter) * 1000;
    if (retryAfter && isNaN(asked)) asked = Date.parse(retryAfter) - Date.now();
    const wait = asked > 0 ? asked + (Math.random() * backoff) / 2 : backoff * (0.5 + Math.random() / 2);
    // Stored, so that a reload does not knock earlier.
    write(WAIT, String(Math.round(Date.now() + Math.min(wait, LONGEST_RETRY_AFTER))));
  }
}
