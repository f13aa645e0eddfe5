// svelte-check and the editor read the compiler's settings here; Vite has its own in vite.config.ts.
import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

export default { preprocess: vitePreprocess() };
