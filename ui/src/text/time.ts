// Times for people, in their own zone and their system's way of writing them.

/** A moment (seconds since 1970): the time alone if it is of today. */
export function moment(at: number, now = Date.now()): string {
  const date = new Date(at * 1000);
  const today = date.toDateString() === new Date(now).toDateString();
  return today ? TIME.format(date) : `${DAY.format(date)}, ${TIME.format(date)}`;
}

/** A day (seconds since 1970). */
export function day(at: number): string {
  return DAY.format(new Date(at * 1000));
}

/** What is left of a countdown, as `9:59`. */
export function left(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return `${String(Math.floor(whole / 60))}:${String(whole % 60).padStart(2, "0")}`;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
