// Builds the window's content. Warnings of the compiler, accessibility first, are errors: nobody reads a warning twice.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig(({ mode }) => ({
  plugins: [
    svelte({
      onwarn(warning) {
        throw new Error(`${warning.filename ?? "svelte"}: ${warning.code}: ${warning.message}`);
      },
    }),
  ],
  publicDir: "public",
  clearScreen: false,
  server: { host: "127.0.0.1", port: 5173, strictPort: true },
  // The strict content security policy of the window allows no inline script and no data: script.
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: false },
  ...(mode === "test" ? { resolve: { conditions: ["browser"] } } : {}),
  test: { environment: "happy-dom", include: ["src/**/*.test.ts"], restoreMocks: true },
}));
