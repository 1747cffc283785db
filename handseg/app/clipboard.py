"""A Streamlit component: a button that copies a picture to the visitor's clipboard.

Browsers accept a picture only right after a click, but also accept a promise of one. The button
makes the promise at once, requests the file with the event `wanted`, and resolves the promise when
the file arrives.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import streamlit as st


def copy_button(label: str, make: Callable[[], bytes], key: str) -> None:
    """Show the button; `make` returns the PNG file when it is requested."""
    name = f"wanted-{key}"

    def note() -> None:
        st.session_state[name] = st.session_state[key].wanted

    data: dict[str, Any] = {"label": label}
    if (wanted := st.session_state.get(name)) is not None:
        data |= {"id": wanted, "png": base64.b64encode(make()).decode()}
    _button(key=key, data=data, width="content", on_wanted_change=note)
    st.session_state.pop(name, None)


_button: Any = st.components.v2.component(
    "handseg_copy",
    html="""
<button type="button" disabled title="Copy the picture, to paste it into another program">
  <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M9 2h9a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H9a2 2 0
  0 1-2-2V4a2 2 0 0 1 2-2zm0 2v12h9V4zM3 6h2v14h11v2H5a2 2 0 0 1-2-2z"/></svg>
  <span aria-live="polite"></span>
</button>
<p role="status"></p>
""",
    css="""
button { display: inline-flex; align-items: center; gap: 0.5rem; min-height: 2.5rem;
  padding: 0.25rem 0.75rem; border: 1px solid var(--st-border-color);
  border-radius: var(--st-button-radius); background: var(--st-background-color);
  color: var(--st-text-color); font: 0.875rem/1.6 var(--st-font); cursor: pointer; }
button:hover, button:focus-visible { border-color: var(--st-primary-color);
  color: var(--st-primary-color); outline: none; }
button:disabled, button[aria-busy] { opacity: 0.6; cursor: progress; }
svg { width: 1.1rem; height: 1.1rem; fill: currentColor; fill-rule: evenodd; }
p { max-width: 22rem; margin: 0.25rem 0 0; color: var(--st-text-color);
  font: 0.875rem/1.4 var(--st-font); }
p:empty { display: none; }
""",
    js="""
const PATIENCE = 60_000, SHOWN = 3_000; // ms

export default function ({ parentElement, data, setTriggerValue }) {
  const button = parentElement.querySelector("button");
  const label = button.querySelector("span");
  const problem = parentElement.querySelector("p");

  const title = () => (label.textContent = button.label);
  button.label = data.label;
  title();
  button.disabled = false; // Before, a click would be lost.
  if (button.wanted && button.wanted.id === data.id) button.wanted.give(asPng(data.png));

  button.onclick = async () => {
    if (button.ariaBusy) return;
    problem.textContent = "";
    try {
      if (!window.isSecureContext)
        throw new Error("browsers copy only from pages on https or localhost");
      if (!window.ClipboardItem) throw new Error("this browser copies no pictures");
      button.ariaBusy = "true";
      const id = Date.now();
      const file = new Promise((give, fail) => {
        button.wanted = { id, give };
        setTimeout(() => fail(new Error("the picture did not come")), PATIENCE);
      });
      file.catch(() => {}); // The browser may have refused long before.
      setTriggerValue("wanted", id);
      await navigator.clipboard.write([new ClipboardItem({ "image/png": file })]);
      label.textContent = "Copied";
      setTimeout(title, SHOWN);
    } catch (error) {
      const why = error.message.replace(/\\.$/, "");
      problem.textContent = `Not copied: ${why}. The download has the same picture.`;
    }
    button.ariaBusy = null;
  };
}

function asPng(text) {
  return new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], { type: "image/png" });
}
""",
)
