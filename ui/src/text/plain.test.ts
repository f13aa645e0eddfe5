// Texts of others lose what could mislead an eye, and nothing else.
import { expect, test } from "vitest";
import { plain, sentence } from "./plain";

test("direction and control characters are spelt out", () => {
  expect(plain("a\u202Eb")).toBe("a[U+202E]b");
  expect(plain("a\u0000\u001b[31m")).toBe("a[U+0000][U+001B][31m");
  expect(plain("\u200Bx\uFEFF\u2066\u00AD\u{E0041}")).toBe("[U+200B]x[U+FEFF][U+2066][U+00AD][U+E0041]");
  expect(plain("line\nbreak\ttab")).toBe("line[U+000A]break[U+0009]tab");
});

test("scripts of people stay whole", () => {
  for (const text of ["שלום", "می\u200Cخواهم", "日本語", "Ünïcödé", "👩\u200D💻"]) {
    expect(plain(text)).toBe(text);
  }
});

test("length is bounded, however long a text is", () => {
  expect(plain("x".repeat(10_000), 10)).toBe(`${"x".repeat(10)}…`);
  expect(Array.from(plain("👍".repeat(300), 100)).length).toBe(101);
  expect(plain("x".repeat(200), 200)).toBe("x".repeat(200));
});

test("an agent's message becomes a sentence", () => {
  expect(sentence("the agent is not running")).toBe("The agent is not running.");
  expect(sentence("wiki.example cannot be reached")).toBe("wiki.example cannot be reached.");
  expect(sentence("really?")).toBe("Really?");
  expect(sentence("")).toBe("");
});
