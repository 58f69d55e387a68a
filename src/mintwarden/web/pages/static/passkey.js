"use strict";
// Registers a passkey or signs in with one: asks our server for options, the browser for a credential, and sends it back.
(() => {
  const form = document.getElementById("passkey");
  if (!form) return;
  const status = document.getElementById("passkey-status");
  const button = form.querySelector("button");

  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  const post = async (address, content) => {
    const reply = await fetch(address, {
      method: "POST",
      credentials: "same-origin",
      redirect: "error",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(content),
    });
    if (!reply.ok) throw new Error("refused");
    return reply.json();
  };

  const ids = (list) => (list || []).map((entry) => ({ ...entry, id: bytes(entry.id) }));

  const made = async (options) => {
    const credential = await navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: bytes(options.challenge),
        user: { ...options.user, id: bytes(options.user.id) },
        excludeCredentials: ids(options.excludeCredentials),
      },
    });
    return {
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      authenticatorAttachment: credential.authenticatorAttachment || undefined,
      response: {
        clientDataJSON: text(credential.response.clientDataJSON),
        attestationObject: text(credential.response.attestationObject),
      },
    };
  };

  const shown = async (options) => {
    const credential = await navigator.credentials.get({
      publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials: ids(options.allowCredentials) },
    });
    const { clientDataJSON, authenticatorData, signature, userHandle } = credential.response;
    return {
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      response: {
        clientDataJSON: text(clientDataJSON),
        authenticatorData: text(authenticatorData),
        signature: text(signature),
        userHandle: userHandle ? text(userHandle) : null,
      },
    };
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!window.PublicKeyCredential) {
      status.textContent = form.dataset.unsupported;
      return;
    }
    const fields = Object.fromEntries(new FormData(form));
    button.disabled = true;
    status.textContent = form.dataset.busy;
    try {
      const { handle, options } = await post(form.dataset.options, fields);
      const credential = await (form.dataset.ceremony === "create" ? made(options) : shown(options));
      const { next } = await post(form.action, { ...fields, handle, credential });
      window.location.assign(next);
    } catch {
      status.textContent = form.dataset.failed;
      button.disabled = false;
      button.focus();
    }
  });
})();
