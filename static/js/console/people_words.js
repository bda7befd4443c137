// The sentences about people, of consoles/people_words.py.

export const { people: words } = JSON.parse(document.getElementById("console-words").textContent);
