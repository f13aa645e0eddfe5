// What people do to servers, accounts and profiles, with the words said afterwards and the way back.
import type { AccountView, ClientAppId, GrantView, ServerView } from "../ipc/generated/wire";
import { en } from "../text/en";
import { plain } from "../text/plain";
import type { Model } from "./model.svelte";

/** What an Account is called. */
export function who(account: AccountView, most = 60): string {
  const name = plain(account.label.trim() === "" ? (account.email ?? account.name ?? en.unnamed) : account.label, most);
  return account.proof === "application" ? en.notAPerson(name) : name;
}

/** What a Server is called. */
export function nameOf(server: ServerView, most = 80): string {
  return plain(server.label.trim() === "" ? server.id : server.label, most);
}

export function selected(server: ServerView): GrantView | undefined {
  return server.grants.find((one) => one.selected);
}

/** Switches who acts at a server, for all apps that follow; can be undone. */
export function useAccount(model: Model, server: ServerView, account: AccountView): Promise<boolean> {
  const before = selected(server)?.account;
  return model.attempt(async () => {
    const done = await model.ask("use_account", { server: server.id, account: account.id, app: null, follow_selection: false });
    const words = [en.said.switched(nameOf(server, 40), who(account, 40)), ...(done.cut_off > 0 ? [en.said.cutOff(done.cut_off)] : [])];
    if (done.needs_sign_in) {
      model.toasts.say([...words, en.said.mustSignIn].join(" "), { action: { label: en.servers.signIn, run: () => model.signIn(server.id, account.id) } });
      return;
    }
    const way = before !== undefined && before.id !== account.id ? { undo: true, action: { label: en.undo, run: () => void back(before) } } : {};
    model.toasts.say(words.join(" "), way);
  });

  function back(to: AccountView) {
    return model.attempt(async () => {
      await model.ask("use_account", { server: server.id, account: to.id, app: null, follow_selection: false });
      model.toasts.say(en.said.switched(nameOf(server, 40), who(to, 40)));
    });
  }
}

/** Binds an app to an Account of its own at a server, or lets it follow again (`null`); can be undone. */
export function bindApp(model: Model, server: ServerView, app: ClientAppId, account: AccountView | null): Promise<boolean> {
  const before = server.grants.find((one) => one.account.id === server.bound_apps[app])?.account ?? null;
  const set = async (to: AccountView | null) => {
    await model.ask("use_account", { server: server.id, account: to?.id ?? null, app, follow_selection: to === null });
    const name = plain(model.appName(app), 40);
    return to === null ? en.said.follows(name, nameOf(server, 40)) : en.said.switchedApp(name, who(to, 40), nameOf(server, 40));
  };
  return model.attempt(async () => {
    const words = await set(account);
    const run = () => void model.attempt(async () => model.toasts.say(await set(before)));
    model.toasts.say(words, { undo: true, action: { label: en.undo, run } });
  });
}

/** Puts a profile in force; undo puts the one before it back, or each server that was switched. */
export function useProfile(model: Model, name: string): Promise<boolean> {
  const before = model.status?.profiles.find((one) => one.in_use)?.name;
  const people = (model.status?.servers ?? []).flatMap((one) => (one.selected === null ? [] : [[one.id, one.selected] as const]));
  return model.attempt(async () => {
    const used = await model.ask("use_profile", { name });
    const text = [en.profile.used(plain(name, 60), used.changed.length), ...(used.cut_off > 0 ? [en.said.cutOff(used.cut_off)] : [])].join(" ");
    const changed = new Set(used.changed.map((one) => one.server));
    const run = () =>
      void model.attempt(async () => {
        if (before !== undefined) {
          const again = await model.ask("use_profile", { name: before });
          model.toasts.say(en.profile.used(plain(before, 60), again.changed.length));
          return;
        }
        for (const [server, account] of people.filter(([id]) => changed.has(id))) {
          await model.ask("use_account", { server, account, app: null, follow_selection: false });
        }
      });
    model.toasts.say(text, before === name || used.changed.length === 0 ? {} : { undo: true, action: { label: en.undo, run } });
  });
}

export function saveProfile(model: Model): void {
  const known = new Set(model.status?.profiles.map((one) => one.name));
  model.sheet = {
    kind: "ask", title: en.profile.newTitle, label: en.profile.newLabel, hint: en.profile.newHint, value: "", yes: en.profile.save2,
    note: (value) => (known.has(value) ? en.profile.exists : null),
    run: async (value) => {
      await model.ask("create_profile", { name: value, replace: known.has(value) });
      model.toasts.say(en.profile.saved(plain(value, 60)));
    },
  };
}

/** Opens the sheet in which a profile is changed or deleted. */
export function changeProfile(model: Model, name: string): void {
  model.sheet = { kind: "profile", name };
}

export function deleteProfile(model: Model, name: string): void {
  model.sheet = {
    kind: "confirm", title: en.profile.deleteTitle(plain(name, 60)), text: en.profile.deleteText, yes: en.profile.deleteYes,
    run: async () => {
      await model.ask("delete_profile", { name });
      model.toasts.say(en.profile.deleted(plain(name, 60)));
    },
  };
}

export function pause(model: Model, server: ServerView): Promise<boolean> {
  return model.attempt(async () => {
    await model.ask("pause_server", { server: server.id, paused: !server.paused });
    model.toasts.say(server.paused ? en.said.resumed(nameOf(server)) : en.said.paused(nameOf(server)));
  });
}

export function rename(model: Model, server: ServerView): void {
  model.sheet = {
    kind: "ask", title: en.ask.renameTitle(nameOf(server)), label: en.ask.renameLabel, value: server.label.slice(0, 200), yes: en.ask.renameYes,
    run: async (label) => {
      await model.ask("rename_server", { server: server.id, label });
      model.toasts.say(en.said.renamed(plain(label, 60)));
    },
  };
}

export function renameAccount(model: Model, account: AccountView): void {
  model.sheet = {
    kind: "ask", title: en.ask.renameTitle(who(account)), label: en.ask.renameLabel, value: account.label.slice(0, 200), yes: en.ask.renameYes,
    run: async (label) => {
      await model.ask("rename_account", { account: account.id, label });
      model.toasts.say(en.said.renamed(plain(label, 60)));
    },
  };
}

/** Asks, then signs one Account out of a server, or everybody (`null`). */
export function signOut(model: Model, server: ServerView, account: AccountView | null): void {
  const only = account ?? (server.grants.length === 1 ? (server.grants[0]?.account ?? null) : null);
  const name = nameOf(server);
  const along = vouchedAlong(model, server, only);
  const text = only === null ? en.ask.signOutAll(server.grants.length, name) : en.ask.signOutText(who(only), name);
  model.sheet = {
    kind: "confirm", title: en.ask.signOutTitle(name), yes: en.ask.signOutYes,
    text: along === 0 ? text : `${text} ${en.ask.signOutVouched(along)}`,
    run: async () => tellGone(model, await model.ask("sign_out", { server: server.id, account: only?.id ?? null, all: only === null, keep_upstream: false })),
  };
}

/** How many sign-ins elsewhere came of this identity provider's word, and end with it. */
function vouchedAlong(model: Model, provider: ServerView, only: AccountView | null): number {
  if (provider.auth !== "identity-provider") return 0;
  const ends = new Set(provider.grants.filter((one) => only === null || one.account.id === only.id).map((one) => one.account.id));
  const there = (model.status?.servers ?? []).filter((one) => one.registration.vouched_by === provider.id);
  return there.flatMap((one) => one.grants).filter((one) => ends.has(one.account.id)).length;
}

/** Asks, then removes a server. */
export function remove(model: Model, server: ServerView): void {
  const name = nameOf(server);
  model.sheet = {
    kind: "confirm", title: en.ask.removeTitle(name), text: en.ask.removeText(server.grants.length), yes: en.ask.removeYes,
    run: async () => {
      await model.ask("remove_server", { server: server.id });
      if (model.place.server === server.id) {
        model.go("servers");
      }
      model.toasts.say(en.said.removed(name));
    },
  };
}

/** Asks, then forgets an Account everywhere. */
export function removeAccount(model: Model, account: AccountView): void {
  const signedIn = (model.status?.servers ?? []).filter((one) => one.grants.some((grant) => grant.account.id === account.id));
  const servers = signedIn.map((one) => nameOf(one, 40));
  const rest = servers.length - MOST_NAMED;
  const named = [...servers.slice(0, MOST_NAMED), ...(rest > 0 ? [en.servers.andMore(rest)] : [])];
  model.sheet = {
    kind: "confirm", title: en.ask.removeAccountTitle(who(account)), text: en.ask.removeAccountText(en.list(named)), yes: en.ask.removeYes,
    run: async () => tellGone(model, await model.ask("remove_account", { account: account.id })),
  };
}

function tellGone(model: Model, gone: { signed_out: unknown[]; pending: number; not_revocable: number; refused: number; unreadable: number; vouched: number; pasted: number }): void {
  const words = [en.said.signedOut(gone.signed_out.length)];
  if (gone.pending > 0) words.push(en.said.pendingOut(gone.pending));
  if (gone.pasted > 0) words.push(en.said.pastedOut(gone.pasted));
  if (gone.not_revocable > 0) words.push(en.said.notRevocable(gone.not_revocable));
  if (gone.refused + gone.unreadable > 0) words.push(en.said.notRevoked(gone.refused + gone.unreadable));
  if (gone.vouched > 0) words.push(en.said.vouchedToo(gone.vouched));
  model.toasts.say(words.join(" "));
}

/** Servers that a question names. */
const MOST_NAMED = 12;
