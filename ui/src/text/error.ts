// An error of the agent in the words of the window: what happened, what to do here, and the details for somebody who helps.
import type { AgentError } from "../ipc/call";
import { plain, sentence } from "./plain";

/** What happened. */
export function what(error: AgentError): string {
  return sentence(error.message);
}

/** What to do now; nothing where the hint is for the command line. */
export function hint(error: AgentError): string {
  const text = error.hint ?? "";
  return text === "" || /\bhallpass \w|(^|\s)--\w/.test(text) ? "" : sentence(text);
}

/** Everything, to be sent to somebody. The agent redacts what it says. */
export function details(error: AgentError): string {
  return [`code: ${error.code}`, `message: ${plain(error.message, 4000)}`, ...(error.hint ? [`hint: ${plain(error.hint, 4000)}`] : [])].join("\n");
}
