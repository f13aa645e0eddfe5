// An error of the agent in the words of the window: what happened, what to do here, and the details for somebody who helps.
import type { AgentError } from "../ipc/call";
import { en } from "./en";
import { plain, sentence } from "./plain";

/** What happened. */
export function what(error: AgentError): string {
  return sentence(error.message);
}

/** What to do now, in this window: a hint that names a command is said as what takes its place here. */
export function hint(error: AgentError): string {
  const text = error.hint ?? "";
  if (text !== "" && !COMMAND.test(text)) {
    return sentence(text);
  }
  const here = text === "" ? undefined : en.next.instead.find(([command]) => command.test(text));
  return here?.[1] ?? en.next.byCode[error.code];
}

/** Everything, to be sent to somebody. The agent redacts what it says. */
export function details(error: AgentError): string {
  return [`code: ${error.code}`, `message: ${plain(error.message, 4000)}`, ...(error.hint ? [`hint: ${plain(error.hint, 4000)}`] : [])].join("\n");
}

/** Words of the command line. */
const COMMAND = /\bhallpass [a-z]|(^|\s)--[a-z]/;
