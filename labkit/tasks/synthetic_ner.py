"""Synthetic biomedical sentences with tagged names, and untagged text of the same world to pretrain on.

    data = synthetic_ner(1_000, 200)
    texts = synthetic_abstracts(2_000)                        # "the gene that encodes VKR-3 …", no tags

A grammar (`_RULES`) writes sentences about genes, proteins, transcripts, cells and drugs with made-up names; brackets
in it say what is an entity. Its shares are held near those of BioNLP2004's training set, in brackets: 0.79 of the words
are O (0.78), a sentence has 27 words (26.5) and 2.7 entities (2.8) of 2.2 words (2.2); 59 % of them are proteins (60),
20 % DNA (18), 12 % cell types (13), 7 % cell lines (7), 2 % RNA (2). With 1,000 training sentences 0.76 of the entities
of a test set are new as strings (0.75).

**Designed in:**

- A name alone doesn't say what it is. Genes, cell lines and drugs are named alike, and one name is DNA in "methylation
  of X", a protein in "phosphorylation of X", RNA in "splicing of X". Often the words before a name decide, at times
  a word after it ("the X promoter"), which a causal model hasn't read yet. With 1,000 training sentences a linear model
  of a word and the two before has F1 0.83, with two on each side 0.95.
- Words are used unequally: the first of a rule's alternatives often, the last seldom. So a small training set has many
  of the verbs and nouns that decide once or never, untagged text has them all: pretraining has something to teach.
- `UNSEEN` of the names in validation and test are made of stems that occur in no training sentence and no abstract.
- Abstracts keep to a few names each and also state what they are (`NOTE`), which the tagged sentences never do.

Real abstracts are less regular, their annotators less consistent: there the same linear model has 0.44.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator
from functools import cache
from itertools import product

from labkit.profile import unknown
from labkit.tasks.ner import Sentence, TaggedSentences

UNSEEN = 0.5  # of the names in validation and test
SKEW = 2.0  # of four alternatives, the first is taken one time in two

# A line a rule; alternatives between bars, earlier ones more often. $rule is written out, [kind … ] is an entity.
_RULES = """
SENTENCE: $INTRO , $CLAUSE $TAIL $TAIL . | $CLAUSE , $LINK $CLAUSE $TAIL . | $CLAIM $CLAUSE , $LINK $CLAUSE . | $INTRO ,
    $PLAIN , $LINK $PLAIN . | $INTRO , $CLAIM $CLAUSE $TAIL . | $CLAUSE $TAIL . | $CLAIM $CLAUSE , $LINK $PLAIN . |
    $PLAIN $TAIL . | $CLAUSE , $CLAUSE , $LINK $CLAUSE $TAIL .
CLAUSE: $PROTEIN $BINDS $DNA $IN | $PROTEIN $ACTS $PROTEIN $IN | $PNOUN of $PROTEIN $ROSE $AFTER $STIMULUS $IN | $DNOUN
    of $DNA $REQUIRED $PROTEIN | $DNOUN of $DNA was $SEEN in $CELLS | $PROTEIN and $PROTEIN $BOTH $IN | $CELLS $DO
    $AFTER $STIMULUS | $PNOUN of $PROTEIN by $PROTEIN was $SEEN $IN | $STIMULUS $CHANGED $PNOUN of $PROTEIN but not of
    $PROTEIN $IN | $PROTEIN $BINDS $DNA and $ACTS $PROTEIN | $CNOUN of $CELLS $REQUIRED $PROTEIN | $DNA $DREGION $BOUND
    $PROTEIN | $CELLS $EXPRESS $PROTEIN and $PROTEIN | $RNOUN of $RNA $ROSE $AFTER $STIMULUS $IN | $LNOUN $LINE were
    $TREATED with $DRUG | $AMOUNT $PROTEIN $ACTED as $ROLE of $PROTEIN
IN: $TIME | in $CELLS | | $TIME in $CELLS | under $CONDITION
AFTER: after $TREATMENT with | in response to | upon addition of | in the presence of
STIMULUS: $DRUG | $AMOUNT $PROTEIN | $DRUG | $CONDITION
TAIL: , $SUGGEST $OUTCOME | , as $SHOWN by $METHOD $TIME | in $AQUALITY and $QUALITY manner | ( $NUMBER ) | | , $SUGGEST
    $OUTCOME in $DISEASE | and this $EFFECT was $QUALITY
INTRO: in contrast | here | furthermore | in $DISEASE | in addition | however | $TIME | as $SHOWN by $METHOD | using
    $METHOD | surprisingly | under $CONDITION | in $AQUALITY model of $DISEASE | taken together
LINK: whereas | and | but | while | because
CLAIM: we $FOUND that | our $DATA $SUGGESTED that | these $DATA $SUGGESTED that | it is $KNOWN that | $METHOD $SUGGESTED
    that
PLAIN: the $QUALITY $EFFECT of $DRUG in $DISEASE $REMAINED | these $DATA $SUGGESTED $OUTCOME $IN | $DISEASE was $SEEN in
    $NUMBER of the patients | the mechanism of $DISEASE $REMAINED | $DRUG had $AQUALITY $EFFECT on $OUTCOME | we $FOUND
    $AQUALITY $EFFECT of $CONDITION
PROTEIN: [protein $gene ] | the [protein $gene $PHEAD ] | [protein $PFAMILY ] | [protein $gene $PHEAD ] | [protein $PADJ
    $gene ] | the [protein $PFAMILY ] $SYMBOL | [protein $PADJ $PFAMILY ] | [protein $gene $greek ] | [protein $SPECIES
    $gene $PHEAD ]
SYMBOL: [protein $gene ]
PHEAD: protein | receptor | kinase | factor | complex | subunit | proteins | family | homodimers | isoform | domain |
    ligand
PFAMILY: transcription factor | cytokines | transcription factors | protein kinase | tyrosine kinase | cytokine
    receptors | adhesion molecules | surface receptor | growth factor | zinc finger protein | nuclear receptors |
    chemokines | integrins | histone deacetylase | serine protease | immunoglobulins | heat shock proteins |
    phosphatases | ubiquitin ligases | caspases | G proteins | homeobox proteins | selectins | lectins | lipoxygenases |
    cyclins | defensins | collagens | annexins | opsins
PADJ: recombinant | nuclear | soluble | activated | phosphorylated | endogenous | membrane-bound | cytosolic | truncated
    | mutant | secreted
DNA: the [DNA $gene $DHEAD ] | the [DNA $SPECIES $gene $DHEAD ] | the [DNA $gene $DHEAD ] | [DNA $gene ] | the [DNA
    $DADJ $gene $DHEAD ] | a [DNA $gene $DSITE ] | the [DNA $gene $DHEAD ] | the [DNA $DADJ $DSTRETCH ] | the [DNA
    $SPECIES $gene $DADJ $DHEAD ]
DHEAD: gene | promoter | gene promoter | enhancer | regulatory region | locus | genes | exon | allele | coding sequence
    | intron | silencer | pseudogene | minigene | breakpoint region | terminator | replication origin | open reading
    frame | cDNA
DSITE: binding site | response element | motif | consensus sequence | box | recognition sequence | half-site
DSTRETCH: long terminal repeat | proximal promoter | upstream element | reporter construct | chromosome $n | distal
    enhancer | CpG island | palindromic sequence | TATA box | short arm
DADJ: 5' | minimal | mutated | inducible | intact | methylated | proviral | rearranged | wild-type | inactive
RNA: [RNA $gene mRNA ] | the [RNA $gene transcript ] | [RNA $gene ] | the [RNA $SPECIES $gene mRNA ] | [RNA $gene
    transcripts ] | [RNA spliced $gene mRNA ]
CELLS: $TYPE | $LINE
TYPE: [cell_type $CELL ] | [cell_type $CADJ $CELL ] | [cell_type $SPECIES $CELL ] | [cell_type $SPECIES $CADJ $CELL ] |
    [cell_type $gene $POSITIVE $CELL ] | [cell_type $CADJ $CELL ]
CELL: T cells | B cells | monocytes | T lymphocytes | macrophages | neutrophils | fibroblasts | thymocytes | endothelial
    cells | mast cells | platelets | NK cells | keratinocytes | eosinophils | epithelial cells | dendritic cells |
    hepatocytes | erythrocytes | stem cells | plasma cells | astrocytes | osteoblasts | megakaryocytes | microglia |
    smooth muscle cells | basophils | granulocytes | progenitors | stromal cells | splenocytes | Langerhans cells |
    osteoclasts | myoblasts | podocytes | hepatoblasts | melanocytes | leukocytes | pericytes | chondrocytes |
    adipocytes | oligodendrocytes | cardiomyocytes | mesangial cells | goblet cells | reticulocytes | plasmablasts |
    Schwann cells
CADJ: peripheral blood | activated | resting | primary | naive | mature | memory | circulating | cord blood | splenic |
    adherent | immature | alveolar | bone marrow | tonsillar | synovial | peritoneal
POSITIVE: positive | + | negative | deficient
LINE: [cell_line $line cells ] | the [cell_line $SPECIES $LKIND line $line ] | [cell_line $line ] | [cell_line $line
    $CELL ] | the [cell_line $line $LKIND line ] | [cell_line $gene transfected $line cells ] | [cell_line $CADJ $line
    cells ] | [cell_line $LKIND lines ]
LKIND: leukemia cell | T cell | lymphoma | monocytic | hybridoma | carcinoma | myeloid | erythroid | fibroblast | glioma
    | promyelocytic
SPECIES: human | murine | mouse | rat | bovine | viral | chicken | yeast | porcine
DRUG: $drug | $drug | $n nM $drug | the inhibitor $drug | $CHEMICAL | the compound $drug | the antagonist $drug | high
    doses of $drug | the analog $drug
CHEMICAL: calcium ionophore | phorbol ester | hydrogen peroxide | dexamethasone | retinoic acid | aspirin | endotoxin |
    zinc | nitric oxide | butyrate | ethanol | cholesterol | arsenite | ascorbate
ACTS: $ACT | $ACT | directly $ACT | also $ACT | did not $ACT_BARE | strongly $ACT
ACT: phosphorylates | activates | inhibits | recruits | interacts with | dimerizes with | degrades | associates with |
    stabilizes | antagonizes | ubiquitinates | cooperates with | dephosphorylates | sequesters | cleaves | is a ligand
    of | acetylates | competes with | heterodimerizes with | signals through | oligomerizes with | glycosylates |
    deacetylates | methylates | oxidizes | scaffolds | desensitizes | neutralizes | primes | hydrolyzes | docks onto |
    is cleaved by | sumoylates | refolds
ACT_BARE: phosphorylate | activate | inhibit | recruit | interact with | degrade | stabilize | cleave | acetylate |
    sequester
BINDS: binds to | transactivates | represses | binds | occupies | is recruited to | transcribes | silences |
    demethylates | is crosslinked to | induces
BOTH: were $PSEEN | formed a complex | were $PSEEN | synergized | colocalized | dissociated | translocated to the
    nucleus | were secreted
PSEEN: coexpressed | phosphorylated | immunoprecipitated | activated | degraded | purified | secreted | ubiquitinated |
    dephosphorylated
PNOUN: expression | phosphorylation | activation | secretion | the activity | the production | degradation |
    overexpression | nuclear translocation | dimerization | inhibition | surface expression | release | ubiquitination |
    autophosphorylation | synthesis | proteolysis | tyrosine phosphorylation | neutralization | internalization |
    acetylation | shedding | oligomerization | exocytosis | glycosylation | dephosphorylation | cleavage |
    homodimerization | sumoylation | recycling | myristoylation | trimerization | turnover | refolding | endocytosis |
    prenylation | palmitoylation | nitration
DNOUN: transcription | deletion | methylation | the activity | the structure | mutation | cloning | rearrangement |
    amplification | a polymorphism | transactivation | demethylation | sequencing | repression | a translocation |
    acetylation of histones at the site | hypermethylation | the insertion | disruption | truncation | excision | the
    inversion | replication | imprinting | the transversion | unwinding | linearization | transposition | the breakpoint
    | recombination | integration
RNOUN: levels | the half-life | accumulation | splicing | stability | translation | polyadenylation | steady-state
    levels | the decay | editing | the abundance | silencing | reverse transcription | elongation | deadenylation |
    capping | nuclear export | degradation of the message | hybridization to
CNOUN: proliferation | differentiation | the survival | apoptosis | migration | maturation | adhesion | growth |
    cytotoxicity | the recruitment | chemotaxis | expansion | degranulation | phagocytosis | the viability |
    infiltration | aggregation | motility | senescence | anergy | tolerance | fusion | lysis | cloning efficiency |
    activation | polarization | extravasation | homing | necrosis
LNOUN: cultures of | clones of | cells of the line | subclones of | the parental line | stable transfectants of
DREGION: contains a region that | has two sites that | carries an insert that | is flanked by a sequence that
BOUND: binds | is recognized by | interacts with | recruits | is occupied by | is protected by
DO: proliferated | died | were cultured | differentiated | migrated | adhered to plastic | underwent apoptosis | were
    isolated | degranulated | were infected | aggregated | stopped growing | were irradiated | survived | were
    electroporated | were harvested | spread | detached | were transplanted | matured | starved | were lysed | were
    sorted | divided | formed colonies | were depleted | fused | rounded up
EXPRESS: express | secrete | produce | release | contain | lack | display | respond to | upregulate | internalize
TREATED: treated | incubated | cultured | pretreated | stimulated | washed | electroporated | starved and treated
TREATMENT: treatment | stimulation | incubation | exposure | preincubation | challenge
ROSE: increased | was induced | was reduced | decreased | was abolished | was enhanced | doubled | was blocked |
    declined | peaked | was restored | was unaffected
REQUIRED: required | depends on | was blocked by | is regulated by | was induced by | is mediated by | involves | is
    controlled by | was impaired by | was independent of
CHANGED: induced | inhibited | increased | blocked | reduced | stimulated | enhanced | abolished | suppressed | delayed
    | potentiated | attenuated
SEEN: observed | detected | found | studied | examined | confirmed | analyzed | reported | measured
ACTED: acted | served | functions | was identified | is considered
ROLE: an inhibitor | a substrate | a coactivator | an antagonist | a target | a regulator | a partner | a mediator | an
    agonist
AMOUNT: purified | low doses of | exogenous | $n ng/ml of | antibodies to | excess
FOUND: found | show | demonstrate | report | conclude | observed | propose | confirmed | speculate
DATA: results | data | findings | studies | experiments | observations | analyses
SUGGEST: suggesting | indicating | demonstrating | implying | which points to | consistent with | confirming
SUGGESTED: suggest | indicate | show | demonstrate | imply | support | revealed
SHOWN: shown | determined | judged | demonstrated | assessed | measured
KNOWN: known | likely | unclear | possible | thought | evident | conceivable
OUTCOME: a role in inflammation | a novel pathway | an early event | a common mechanism | an autocrine loop | a defect
    in signal transduction | a role in hematopoiesis | cross-talk between pathways | a loss of function |
    posttranscriptional control | a switch of isotypes | tissue specificity | negative feedback
METHOD: gel shift assays | Western blot analysis | Northern blots | flow cytometry | immunoprecipitation | mass
    spectrometry | footprinting | confocal microscopy | sequence analysis | transient transfection | enzyme assays | a
    two-hybrid screen | Scatchard analysis
DISEASE: asthma | the patients | leukemia | infection | rheumatoid arthritis | sepsis | transplantation | AIDS | aging |
    anemia | obesity | multiple sclerosis | psoriasis | glioma
CONDITION: hypoxia | serum starvation | oxidative stress | heat shock | normal conditions | low temperature |
    irradiation | mechanical stress | osmotic shock
TIME: within $n min | after $n h | at this stage | for $n days | during development | in vivo | in vitro | at early
    times
QUALITY: dose-dependent | transient | specific | time-dependent | independent | sustained | reversible | cooperative |
    selective | partial | synergistic
AQUALITY: a $QUALITY | a novel | a marked | a $QUALITY
EFFECT: effect | response | increase | change | inhibition | pattern | defect | activity
REMAINED: remains unknown | was $SEEN | is poorly understood | was not $SEEN | remains to be $SEEN | is controversial
NUMBER: $n % | n = $n | P < 0.05 | $n +/- $n % | $n of $n
NOTE: $gene is a $PFAMILY that $ACT $PFAMILY . | $gene , a $PFAMILY , $ACT $gene $IN . | the gene that encodes $gene
    maps to chromosome $n . | $line is a $LKIND line that was established from $CELL . | $drug is a drug that $CHANGED
    $CNOUN of $CELL . | the $gene gene encodes a $PFAMILY . | $gene is transcribed in $CELL and its mRNA is spliced . |
    $line cells were derived from $LKIND cells . | $gene is a protein of $n kDa . | $drug is an inhibitor of $PFAMILY .
"""
_GREEK = ("alpha", "beta", "gamma", "delta", "kappa", "sigma")
_NUMBERS = [str(n) for n in range(2, 61)]
_SPLITS = ("test", "validation", "train", "train")
_FIRST_NUMBER = {"gene": 1, "line": 20, "drug": 100}
_FORMS = ("{stem}-{number}", "{stem}", "{stem}{number}", "{stem}-{greek}", "c-{small}", "{stem}-{greek} {last}")


def synthetic_ner(n_train: int, n_test: int, seed: int = 0) -> TaggedSentences:
    """`n_train` sentences to train on, and `n_test` for validation and for test each; none is in two splits."""
    sizes = {"train": n_train, "validation": n_test, "test": n_test}
    splits = {split: [synthetic_sentence(split, i, seed) for i in range(n)] for split, n in sizes.items()}
    return TaggedSentences(**splits, name="synthetic biomedical sentences", dropped={})


def synthetic_sentence(split: str, index: int, seed: int = 0) -> Sentence:
    """The sentence of that number. To which split a text may belong is a matter of its checksum: no seed mixes them.

    Raises `LabError` for an unknown split.
    """
    if split not in _SPLITS:
        raise unknown("split", split, _SPLITS[:3])
    rng = random.Random(f"{split} {index} {seed}")
    while True:
        sentence = _Writer(rng, 0 if split == "train" else UNSEEN).sentence("SENTENCE")
        if _split(sentence) == split:
            return sentence


def synthetic_abstracts(n: int, seed: int = 0) -> Iterator[str]:
    """`n` untagged texts of eight sentences, words and punctuation between spaces; none of them is in a test set.

    The names are those that training sentences have. Two of a text's sentences state what a name is.
    """
    for index in range(n):
        rng = random.Random(f"abstract {index} {seed}")
        writer, sentences = _Writer(rng, 0), []
        while len(sentences) < 8:
            sentence = writer.sentence("NOTE" if len(sentences) in (0, 4) else "SENTENCE")
            if _split(sentence) == "train":
                sentences.append(" ".join(sentence.tokens))
        yield " ".join(sentences)


class _Writer:
    """Writes sentences about a few names, of which a share `unseen` is made of reserved stems."""

    def __init__(self, rng: random.Random, unseen: float) -> None:
        self.rng = rng
        self.names = {kind: [_name(rng, kind, rng.random() < unseen) for _ in range(3)] for kind in _FIRST_NUMBER}
        self.names |= {"greek": _GREEK, "n": _NUMBERS}

    def sentence(self, rule: str) -> Sentence:
        tokens, tags = self._write(rule)
        tokens[0] = tokens[0][0].upper() + tokens[0][1:]
        return Sentence(tuple(tokens), tuple(tags))

    def _write(self, rule: str) -> tuple[list[str], list[str]]:
        tokens, tags, kind, begin = [], [], "", 0
        for part in _skewed(self.rng, _rules()[rule]):
            if part == "]":
                tags[begin:] = [("I-" if i else "B-") + kind for i in range(len(tags) - begin)]
            elif part.startswith("["):
                kind, begin = part[1:], len(tags)
            else:
                words, their_tags = self._words(part)
                tokens, tags = tokens + words, tags + their_tags
        return tokens, tags

    def _words(self, part: str) -> tuple[list[str], list[str]]:
        if part[0] != "$":
            words = [part]
        elif part[1:] in self.names:
            words = self.rng.choice(self.names[part[1:]]).split()
        else:
            return self._write(part[1:])
        return words, ["O"] * len(words)


def _skewed(rng: random.Random, options: list) -> list:
    return options[int(len(options) * rng.random() ** SKEW)]


def _split(sentence: Sentence) -> str:
    return _SPLITS[zlib.crc32(" ".join(sentence.tokens).encode()) % 4]


def _name(rng: random.Random, kind: str, reserved: bool) -> str:
    """A name such as VRK-2, Lorin3, TKB-alpha, c-mur or NF-sigma B; a stem keeps to one form for each kind."""
    stem = _skewed(rng, stems()[1 if reserved else 0])
    forms = _FORMS if kind == "gene" else _FORMS[:3]
    form = forms[zlib.crc32(f"{kind} {stem}".encode()) % len(forms)]
    number = rng.randrange(4)
    parts = {"number": _FIRST_NUMBER[kind] + number, "greek": _GREEK[number], "last": stem[-1].upper()}
    return form.format(stem=stem, small=stem.lower(), **parts)


@cache
def stems() -> tuple[list[str], list[str]]:
    """What names are made of: the stems of everything, and those reserved for validation and test."""
    rng, consonants = random.Random("stems"), "BCDFGHKLMNPRSTVWZ"
    short = ["".join(some) for some in product(consonants, repeat=3)]
    long = ["".join(some).capitalize() for some in product(consonants, "AEIO", "LMRNV", "AEIOU", "KNRX")]
    mixed = rng.sample(rng.sample(short, 360) + rng.sample(long, 240), 600)
    return mixed[:360], mixed[360:]


@cache
def _rules() -> dict[str, list[list[str]]]:
    blocks = (block.split(":") for block in re.split(r"\n(?=\w+:)", _RULES.strip()))
    return {name: [alternative.split() for alternative in body.split("|")] for name, body in blocks}
