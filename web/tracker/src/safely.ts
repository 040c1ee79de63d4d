/**
 * Runs what must never break the page: an error ends the tracker's own step and
 * nothing else.
 */
export function safely<T>(step: () => T): T | undefined {
  try {
    return step();
  } catch {
    return undefined;
  }
}

/** A random (version 4) UUID. crypto.randomUUID is missing on pages without https. */
export function uuid(): string {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6]! & 15) | 64;
  b[8] = (b[8]! & 63) | 128;
  return Array.from(b, (byte, i) => ([4, 6, 8, 10].includes(i) ? "-" : "") + (byte + 256).toString(16).slice(1)).join("");
}
