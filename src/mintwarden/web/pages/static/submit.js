"use strict";
// Sends on the form of a page that is only there to be sent on.
(() => {
  const form = document.getElementById("answer");
  if (form) form.submit();
})();
