/** `agents` imports this to answer e-mail. Plain workerd has no such module, and no benchmark sends any. */
export const EmailMessage = undefined;
