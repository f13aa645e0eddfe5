/** A count with its noun. */
export const n = (count: number, one: string, many = `${one}s`) => `${String(count)} ${count === 1 ? one : many}`;
