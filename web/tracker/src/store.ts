import { safely } from "./safely";

// What localStorage would not take (denied or full) lives as long as the page.
const memory: Record<string, string> = {};

export function read(key: string): string | null {
  return memory[key] ?? safely(() => localStorage.getItem(key)) ?? null;
}

export function write(key: string, value: string): void {
  memory[key] = value;
  safely(() => {
    localStorage.setItem(key, value);
    delete memory[key];
  });
}

export function forget(key: string): void {
  delete memory[key];
  safely(() => localStorage.removeItem(key));
}

export function keys(): string[] {
  return safely(() => Object.keys(localStorage)) ?? [];
}

/**
 * First-party cookies carry the two ids to the site's own server, which so can
 * tell whose purchase it records. A maxAge of 0 deletes the cookie.
 */
export function writeCookie(name: string, value: string, maxAge: number): void {
  safely(() => {
    document.cookie = `${name}=${value};path=/;max-age=${maxAge};samesite=lax${location.protocol === "https:" ? ";secure" : ""}`;
  });
}

export function readCookie(name: string): string | undefined {
  return safely(() => document.cookie.split("; ").find((c) => c.startsWith(name + "="))?.slice(name.length + 1));
}
