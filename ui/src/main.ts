// Starts the window: picks the host that is there and mounts the one component.
import { mount } from "svelte";
import App from "./App.svelte";
import { pickHost } from "./ipc/host";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";

const target = document.getElementById("app");
if (target === null) {
  throw new Error("index.html has lost its #app");
}

export default mount(App, { target, props: { host: await pickHost(window.location.search) } });
