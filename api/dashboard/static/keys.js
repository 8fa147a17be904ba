// Which of our keys somebody meant, on whatever layout and with Caps Lock on or off.

const ASKING = new Set(["؟", "՞", "⸮"]); // question marks of other scripts
const UNSAID = new Set(["Dead", "Unidentified", "Process"]); // the system says that there was a key, and not which

// Whether the last letter was of another script: so are the signs on that layout. Pages come and go meanwhile.
const elsewhere = () => sessionStorage.getItem("script") === "other";
const note = (script) => sessionStorage.setItem("script", script);

// Returns a lower-case Latin letter or "?", or what the event says itself.
//
// The letter that a layout writes counts, so that Dvorak and AZERTY work as they are printed. Where a layout writes no
// Latin letters, the place of the key counts (event.code), as if the layout were that of the United States.
export function letter(event) {
  const key = event.key.normalize("NFKC"); // an input method may write full-width letters
  if (ASKING.has(key)) return "?";
  if (/^[a-z]$/i.test(key)) {
    note("latin");
    return event.shiftKey ? key : key.toLowerCase(); // upper case without Shift is Caps Lock
  }
  const place = /^Key([A-Z])$/.exec(event.code)?.[1].toLowerCase();
  if (!place || event.shiftKey || event.getModifierState?.("AltGraph")) return key;
  if (/^[\x20-\x7e]$/.test(key)) return elsewhere() ? place : key; // a sign, where we have a letter
  if (/\p{Script=Latin}/u.test(key) && !UNSAID.has(key)) return key; // ş is not s
  if (!UNSAID.has(key)) note("other");
  return place;
}
