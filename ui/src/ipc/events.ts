// What the agent says by itself. Views ask again when they hear of a change; nothing is polled.
import { isRecord, type Host } from "./call";
import type { SignInId, SignInStep } from "./generated/wire";

/** What to do at each kind of event. */
export interface Listeners {
  /** Something that views show may have changed. */
  changed(): void;
  /** A sign-in took a step. */
  signIn(id: SignInId, step: SignInStep): void;
}

/** Listens. Returns how to stop. Events of a newer agent are passed over. */
export async function onEvent(host: Host, listeners: Listeners): Promise<() => void> {
  return host.listen((event) => {
    if (!isRecord(event)) {
      return;
    }
    if (event["event"] === "changed") {
      listeners.changed();
    } else if (event["event"] === "sign_in" && typeof event["sign_in"] === "number" && isRecord(event["step"])) {
      listeners.signIn(event["sign_in"], event["step"] as unknown as SignInStep);
    }
  });
}
