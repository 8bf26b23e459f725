// How results of the search are ordered: what is written for readers before what is kept for the
// record, and a heading that is the query, or nearly, before pages that only have its words.
var Scorer = {
  // Sphinx's own weights
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,

  score: function (result) {
    const [page, title, anchor, description, score, file, kind] = result;
    if (/^(adr\/|changelog|modules)/.test(page)) return score / 2;
    return kind === "title" ? 2 * score : score;
  },
};
