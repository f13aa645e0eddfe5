// Texts of others, made harmless for eyes: control and direction characters are spelt out, length is bounded.

/** Everything that moves, hides or reorders text; the two joiners that scripts need are left alone. */
const UNSEEN = /[\p{Cc}\p{Co}\p{Cs}\p{Zl}\p{Zp}\p{Cn}]|(?![\u200c\u200d])\p{Cf}/gu;

/** As it may be shown: `a\u202Eb` reads `a[U+202E]b`; what is longer than `most` characters ends in `…`. */
export function plain(text: string, most = 200): string {
  // Cut by code units first: a label of megabytes costs no more than a short one.
  const cut = text.length > most * 2 ? text.slice(0, most * 2) : text;
  const characters = Array.from(cut.replace(UNSEEN, (one) => `[U+${(one.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`));
  return characters.length > most || cut.length < text.length ? `${characters.slice(0, most).join("")}…` : characters.join("");
}

/** A message of the agent as a sentence: they begin in lower case and have no stop, as Rust errors do. */
export function sentence(text: string, most = 600): string {
  const shown = plain(text, most);
  // A sentence that begins with a host, a path or an id keeps it as it is.
  const first = /^[\p{L}'’-]+([\s,:;?!]|$)/u.test(shown) ? shown.charAt(0).toUpperCase() + shown.slice(1) : shown;
  return /[.!?…:]$/.test(first) || first === "" ? first : `${first}.`;
}
