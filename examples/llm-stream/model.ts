/** Stands in for a model: it answers with the same words, one every 80 ms. Put yours in its place. */

const MILLISECONDS_A_TOKEN = 80;

export function answerTo(prompt: string): string {
  return `You asked: ${prompt}

This answer is made of tokens, and each one is an event of a session. The Worker publishes \
them whether or not a page is there to read. Reload this page: it asks for the session from its \
first event, and the words that came before are back at once. Close the lid of your laptop: the \
browser comes back with the last id that it saw, and gets what it missed. Open the address in a \
second tab: both show the same words. Press the stop button: the stream ends, every page learns \
of it, and the model stops as soon as its next token is refused.`;
}

/** Splits behind each space, so that the tokens together are the text. */
export async function* generate(prompt: string): AsyncGenerator<string> {
  for (const token of answerTo(prompt).split(/(?<= )/)) {
    yield token;
    await new Promise((resolve) => setTimeout(resolve, MILLISECONDS_A_TOKEN));
  }
}
