/** The package brings no types. These are of what the tests use. */
declare module "event-source-polyfill" {
  export class EventSourcePolyfill {
    static readonly CLOSED: number;
    constructor(url: string);
    readonly readyState: number;
    addEventListener(type: string, listener: (event: { readonly data: string }) => void): void;
    close(): void;
  }
}
