import { read, write } from "./store";
import { safely } from "./safely";

export type Purposes = Record<string, boolean>;

const KEY = "ms_consent";

/**
 * What the visitor decided: true or false for everything, an answer per
 * purpose, or undefined when not asked yet. The answer itself is stored; it
 * identifies nobody.
 */
export function decided(): boolean | Purposes | undefined {
  return safely(() => JSON.parse(read(KEY) ?? "") as boolean | Purposes);
}

export function decide(answer: boolean | Purposes): void {
  write(KEY, JSON.stringify(answer));
}

/**
 * May this visitor be recorded? Global Privacy Control is a standing "no" that a
 * page's banner can't overrule. Given purposes, "analytics" decides.
 */
export function allowed(required: boolean): boolean {
  if ((navigator as Navigator & { globalPrivacyControl?: boolean }).globalPrivacyControl) return false;
  const answer = decided();
  if (answer === undefined) return !required;
  return typeof answer === "object" ? answer["analytics"] === true : answer === true;
}
