/** Parts that several pages of the console use. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { messageOf } from "./api.ts";

export interface Notice {
  readonly kind: "good" | "bad";
  readonly text: string;
}

/** Says what became of an action. Screen readers read it out. */
export function NoticeLine({ notice }: { readonly notice: Notice | undefined }) {
  return (
    <p class={`notice ${notice?.kind ?? ""}`} role="status">
      {notice?.text}
    </p>
  );
}

interface Actions {
  readonly notice: Notice | undefined;
  readonly isBusy: boolean;
  /** Does the work; then says what it returns, or why it failed. Resolves with whether it succeeded. */
  readonly run: (work: () => Promise<string>) => Promise<boolean>;
}

export function useActions(): Actions {
  const [notice, setNotice] = useState<Notice>();
  const [isBusy, setBusy] = useState(false);
  const run = async (work: () => Promise<string>): Promise<boolean> => {
    setBusy(true);
    try {
      setNotice({ kind: "good", text: await work() });
      return true;
    } catch (failure) {
      setNotice({ kind: "bad", text: messageOf(failure) });
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { notice, isBusy, run };
}

interface ConfirmedProps {
  readonly label: string;
  /** The question to the user. */
  readonly question: string;
  readonly disabled?: boolean;
  readonly onConfirm: () => void;
}

/** A button for what cannot be undone: it asks first. */
export function Confirmed({ label, question, disabled, onConfirm }: ConfirmedProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const close = () => dialog.current?.close();
  return (
    <>
      <button
        type="button"
        class="danger"
        disabled={disabled}
        onClick={() => dialog.current?.showModal()}
      >
        {label}
      </button>
      <dialog ref={dialog} aria-label={label}>
        <p>{question}</p>
        <div class="row end">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button
            type="button"
            class="danger"
            onClick={() => {
              close();
              onConfirm();
            }}
          >
            {label}
          </button>
        </div>
      </dialog>
    </>
  );
}

/** A heading that takes the focus when its page opens, so that a keyboard and a screen reader go on there. */
export function Heading({ children }: { readonly children: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children}
    </h1>
  );
}

interface ScrollingProps {
  readonly label: string;
  /** On a phone each row is a card; its cells say what they are by `data-label`. */
  readonly hasCards?: boolean;
  readonly children: ComponentChildren;
}

/** A table that scrolls by itself where it is too wide. */
export function Scrolling({ label, hasCards, children }: ScrollingProps) {
  return (
    <div
      class={hasCards ? "scrolling cards" : "scrolling"}
      role="region"
      aria-label={label}
      tabIndex={0}
    >
      {children}
    </div>
  );
}

interface CardsProps {
  readonly label: string;
  /** The headings of the columns. */
  readonly columns: readonly string[];
  /** The rows. */
  readonly children: ComponentChildren;
}

/** A table whose rows are cards on a phone. */
export function Cards({ label, columns, children }: CardsProps) {
  return (
    <Scrolling label={label} hasCards>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </Scrolling>
  );
}

/** The heading of a session's row, which leads to the session. */
export function SessionCell({ id }: { readonly id: string }) {
  return (
    <th scope="row">
      <a href={`#/session/${id}`}>{id}</a>
    </th>
  );
}
