/**
 * The one owner of the object's alarm; nothing else calls `setAlarm`. Each setting is a billed row
 * write, so an alarm that is too early stays: when it fires, the object looks at its deadlines
 * again. This is safe since some alarm is always set at or before the earliest deadline.
 */
export class AlarmClock {
  readonly #storage: DurableObjectStorage;
  readonly #earliest: () => number;
  /** The time that the alarm is set for; undefined after a load, until `load` has read it. */
  #setFor: number | undefined;

  /** `earliest`: the object is to wake by then, whatever else a caller asks for. Infinity: no such time. */
  constructor(storage: DurableObjectStorage, earliest: () => number = () => Infinity) {
    this.#storage = storage;
    this.#earliest = earliest;
  }

  /** Reads what the alarm is set for, so that one that is early enough is not set again. */
  async load(): Promise<void> {
    const at = await this.#storage.getAlarm();
    this.#setFor ??= at ?? Infinity;
  }

  /** Makes sure that the object wakes at `at` (milliseconds since the epoch) or before. */
  wakeBy(at: number): void {
    if (this.#setFor !== undefined && this.#setFor <= at) return;
    this.#set(at);
  }

  /** Makes the object wake at `at` and not before: all earlier work is done. */
  moveTo(at: number): void {
    if (this.#setFor !== at) this.#set(at);
  }

  /** The alarm has fired, so none is set. */
  fired(): void {
    this.#setFor = Infinity;
  }

  /** Takes the alarm back. */
  clear(): void {
    void this.#storage.deleteAlarm();
    this.#setFor = Infinity;
  }

  #set(at: number): void {
    const time = Math.min(at, this.#earliest());
    if (this.#setFor === time) return;
    // Buffered with the other writes of this turn; the output gate holds the answer until all are durable.
    void this.#storage.setAlarm(time);
    this.#setFor = time;
  }
}
