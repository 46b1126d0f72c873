"""The exercises themselves: the reference is right, every known mistake is told by its name."""

import math
import random
import re
from collections import Counter
from itertools import combinations, count

import numpy as np
import pytest
import torch

from labkit.exercises import plots
from labkit.exercises.checking import _call, examine
from labkit.exercises.compare import complaint
from labkit.exercises.exercise import exercises

EXERCISES = list(exercises().values())
MISTAKES = [pytest.param(e, m, id=f"{e.id}:{m.says[:40]}") for e in EXERCISES for m in e.mistakes]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_an_exercise_is_well_formed(exercise):
    """A mistake listed twice, or a topic under another notebook's number, would go unnoticed otherwise."""
    module = re.search(r"\.ex(\d\d)_", exercise.reference.__module__).group(1)
    assert exercise.id.startswith(f"{module}-")
    assert exercise.reference.__name__ == exercise.wants
    assert len(exercise.cases) >= 2 and len({m.says for m in exercise.mistakes}) >= 2
    assert exercise.difficulty in ("easy", "medium", "hard") and 2 <= exercise.minutes <= 20
    assert 2 <= len(exercise.hints) <= 3 and all(len(hint) <= 240 for hint in exercise.hints)


def test_every_lesson_has_two_to_four_exercises():
    counts = Counter(exercise.id[:2] for exercise in EXERCISES)
    assert sorted(counts) == [f"{n:02}" for n in range(1, 14)] and len(EXERCISES) >= 30
    assert all(2 <= count <= 4 for count in counts.values())


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_inputs_are_the_same_at_every_call(exercise):
    """Expected and returned are computed on separately made inputs."""
    for case in exercise.cases:
        assert complaint(case.make(), case.make()) is None


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_the_reference_passes_and_a_stub_is_met_kindly(exercise):
    def stub(*args):
        raise NotImplementedError(f"{exercise.id}: your turn")

    assert examine(exercise, exercise.reference)
    assert examine(exercise, stub).status == "not started"


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_every_known_mistake_fails_by_its_own_name(exercise, mistake):
    """Also: no mistake hides behind one that is listed before it."""
    verdict = examine(exercise, mistake.answer)
    assert (verdict.status, verdict.says, verdict.hint) == ("failed", mistake.says, mistake.hint)
    labels = [label for label, _ in verdict.details]
    assert labels == ["tried on", *exercise.parameters, "expected", "returned", "so"]


def _off(value):
    if isinstance(value, tuple | list):
        return type(value)(_off(v) for v in value)
    return value + ("!" if isinstance(value, str) else 7)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_an_unknown_mistake_gets_the_general_hint(exercise):
    verdict = examine(exercise, lambda *args: _off(exercise.reference(*args)))
    assert verdict.status == "failed" and verdict.hint == exercise.hints[0]


# Solutions as a student would write them, independent of the references.


def causal_attention(q, k, v):
    scores = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
    past = torch.tril(torch.ones(q.shape[1], q.shape[1]))
    scores = scores.masked_fill(past == 0, -1e9)
    weights = torch.exp(scores - scores.amax(-1, keepdim=True))
    return torch.einsum("bij,bjd->bid", weights / weights.sum(-1, keepdim=True), v)


def attention_by_loops(q, k, v):
    out = torch.zeros_like(v)
    for b in range(q.shape[0]):
        for i in range(q.shape[1]):
            scores = torch.stack([q[b, i] @ k[b, j] for j in range(i + 1)]) / math.sqrt(q.shape[2])
            out[b, i] = torch.softmax(scores, 0) @ v[b, : i + 1]
    return out


def count_parameters(n_layer, n_embd, vocab_size, block_size):
    attention = n_embd * 3 * n_embd + 3 * n_embd + n_embd * n_embd + n_embd
    mlp = n_embd * 4 * n_embd + 4 * n_embd + 4 * n_embd * n_embd + n_embd
    norm = 2 * n_embd
    return (vocab_size + block_size) * n_embd + n_layer * (attention + mlp + 2 * norm) + norm


def shift_targets(tokens):
    time = tokens.shape[1] - 1
    return tokens.narrow(1, 0, time).clone(), tokens.narrow(1, 1, time).clone()


def learning_rate(step, max_lr, warmup_steps, max_steps, min_lr):
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    done = min(1.0, (step - warmup_steps) / (max_steps - warmup_steps))
    share = (1 + torch.cos(torch.tensor(math.pi * done))) / 2
    return share * max_lr + (1 - share) * min_lr


def bits_per_byte(loss, n_tokens, n_bytes):
    return torch.tensor(loss * n_tokens / n_bytes) * math.log2(math.e)


def causal_labels(source, target):
    row = torch.cat([source, target])
    place = torch.arange(1, len(row))
    return torch.where(place < len(source), -100, row[1:])


def lcs_f1(prediction, reference):
    """By trying every subsequence, the longest first."""
    for n in range(min(len(prediction), len(reference)), 0, -1):
        if set(combinations(prediction, n)) & set(combinations(reference, n)):
            precision, recall = n / len(prediction), n / len(reference)
            return 2 * precision * recall / (precision + recall)
    return 0


def kept_layers(n, keep):
    return np.linspace(0, n - 1, keep).round().astype(int).tolist()


def token_loss(nats, labels):
    total, tokens = 0.0, 0
    for row, wanted in zip(nats, labels, strict=True):
        for cost, label in zip(row, wanted, strict=True):
            if label != -100:
                total, tokens = total + cost, tokens + 1
    return total / tokens


def leave_one_out(rewards):
    k = rewards.shape[1]
    return (rewards - rewards.mean(1, keepdim=True)) * k / (k - 1)


def text_log_prob(logits, text, pad_id):
    nats = torch.nn.functional.cross_entropy(logits.mT, text, ignore_index=pad_id, reduction="none")
    return -nats.sum(-1)


def chunks(words, budget, overlap):
    pieces, done = [], 0
    while done < len(words):
        start = max(0, done - overlap)
        pieces.append(words[start : start + budget])
        done = start + budget
    return pieces


def standard_error_of_difference(a, b):
    return np.subtract(a, b).std(ddof=1) / len(a) ** 0.5


def entity_f1(gold, predicted):
    there, found = ({(i, *e) for i, s in enumerate(some) for e in s} for some in (gold, predicted))
    precision, recall = (len(there & found) / max(1, len(some)) for some in (found, there))
    return 2 * precision * recall / (precision + recall) if precision else 0.0


def align_labels(word_ids, labels):
    found, seen = [], set()
    for word in word_ids:
        new = word is not None and word not in seen
        found.append(labels[word] if new else -100)
        seen.add(word)
    return found


def lora_forward(x, W, A, B, alpha):
    merged = W + alpha / A.shape[0] * torch.einsum("or,ri->oi", B, A)
    return torch.nn.functional.linear(x, merged)


def macro_f1(truth, predicted, n_labels):
    truth, predicted = np.array(truth), np.array(predicted)
    scores = []
    for label in range(n_labels):
        right = ((truth == label) & (predicted == label)).sum()
        precision, recall = right / max(1, (predicted == label).sum()), right / max(1, (truth == label).sum())
        scores.append(2 * precision * recall / (precision + recall) if right else 0.0)
    return np.mean(scores)


def label_log_prob(logits, n_prompt, target):
    total = 0.0
    for k, token in enumerate(target):
        row = logits[n_prompt - 1 + k]
        total += row[token] - torch.logsumexp(row, dim=0)
    return total


def with_prompt(prompt, text, labels):
    n, width = prompt.shape
    batch, time, _ = text.shape
    rows, asked = torch.empty(batch, n + time, width), torch.full((batch, n + time), -100)
    rows[:, :n], rows[:, n:], asked[:, n:] = prompt, text, labels
    return rows, asked


def f1(truth, predicted):
    found, wrong, missed = (
        sum((t, p) == kind for t, p in zip(truth, predicted, strict=True)) for kind in ((1, 1), (0, 1), (1, 0))
    )
    return found / (found + (wrong + missed) / 2) if found else 0


def standard_errors(hits, n, share):
    return torch.tensor(hits / n - share) / (share * (1 - share) / n) ** 0.5


def p_value(a, b):
    from scipy.stats import binomtest

    a, b = np.array(a), np.array(b)
    alone, differ = int((a > b).sum()), int((a != b).sum())
    return binomtest(alone, differ).pvalue if differ else 1


def lora_count(shapes, r):
    return sum(torch.empty(r, columns).numel() + torch.empty(rows, r).numel() for rows, columns in shapes)


def chosen(names):
    return [name for name in names if re.search(r"(^|\.)(bias$|(classifier|score)(\.|$))", name)]


def rep_n(tokens, n):
    grams = [" ".join(tokens[i : i + n]) for i in range(len(tokens))][: max(0, len(tokens) - n + 1)]
    return sum(gram in grams[:i] for i, gram in enumerate(grams)) / max(1, len(grams))


def penalised(logits, seen, penalty):
    factor = torch.ones_like(logits)
    factor[torch.tensor(seen, dtype=torch.long)] = penalty
    return torch.minimum(logits * factor, logits / factor)


def what_is_read(front, told, room):
    front = list(front)[:room]
    latest = []
    for token in reversed(told):
        if len(front) + len(latest) == room:
            break
        latest.insert(0, token)
    return front + latest


def kept(losses, patience):
    for i in range(len(losses)):
        best = min(range(i + 1), key=losses.__getitem__)
        if i - best >= patience:
            return best
    return losses.index(min(losses))


def lost(matrix):
    *before, end = np.array(matrix)
    return (np.max(before, axis=0) - end)[:-1].tolist()


def expected_squares(x, w):
    """By asking about both answers, with autograd."""
    total = torch.zeros_like(w)
    for row in x:
        for sign in (1, -1):
            v = w.clone().requires_grad_()
            log_p = torch.nn.functional.logsigmoid(sign * row @ v)
            (slope,) = torch.autograd.grad(log_p, v)
            total += log_p.detach().exp() * slope**2
    return total / len(x)


def sample(items, size, draws):
    kept = dict(enumerate(items[:size]))
    for seen in range(size + 1, len(items) + 1):
        place = math.floor(draws[seen - 1] * seen)
        kept |= {place: items[seen - 1]} if place in kept else {}
    return list(kept.values())


def reduced(logits, labels):
    asked = labels >= 0
    nats = -torch.nn.functional.cross_entropy(logits.mT, labels, reduction="none")
    return logits.max(dim=-1).indices, torch.where(asked, nats, 0)


def loss_at(logits, labels, t):
    log_probs = logits / t - torch.logsumexp(logits / t, dim=-1, keepdim=True)
    return -log_probs[torch.arange(len(labels)), labels].mean()


def merged(W, A, B, alpha):
    return W + torch.einsum("or,ri->oi", B, A) * (alpha / B.shape[1])


def training_bytes(n_parameters, bytes_per_number):
    return sum(np.prod([n_parameters, bytes_per_number]) for _ in ("weights", "gradients", "averages", "squares"))


def diagnosis(run):
    """As somebody reads it who compares a curve's two ends."""
    train, val = plots.runs()[run]
    best = np.argmin(val)
    up = [curve[-1] > curve[best] + 0.5 for curve in (train, val)]
    kinds = {(True, True): "diverges", (False, True): "overfits"}
    flat = "has settled" if val[-3] - val[-1] < 0.2 else "isn't done"
    return kinds.get(tuple(up), flat), int(best) * 100


def advantage_noise(sigma, k):
    """Of the weights 1, -1/(k-1), … on independent rewards, the length."""
    return sigma * torch.tensor([1.0] + [-1 / (k - 1)] * (k - 1)).norm()


def told(system):
    from scipy.stats import ttest_rel

    test = ttest_rel(plots.scores()[system], plots.scores()["plain"])
    return "can't be told" if test.pvalue > 0.05 else "better" if test.statistic > 0 else "worse"


def papers_needed(sd, difference):
    from scipy.stats import norm

    return next(n for n in count(1) if norm.ppf(0.975) * sd / n**0.5 <= difference)


@pytest.mark.parametrize(
    ("id", "answer"),
    [
        ("01-training-bytes", training_bytes),
        ("04-read-curves", diagnosis),
        ("05-noise", advantage_noise),
        ("06-read-intervals", told),
        ("06-papers-needed", papers_needed),
        ("01-causal-attention", causal_attention),
        ("01-causal-attention", attention_by_loops),
        ("01-count-parameters", count_parameters),
        ("02-shift-targets", shift_targets),
        ("02-learning-rate", learning_rate),
        ("02-bits-per-byte", bits_per_byte),
        ("03-causal-labels", causal_labels),
        ("03-rouge-l", lcs_f1),
        ("04-kept-layers", kept_layers),
        ("04-masked-loss", token_loss),
        ("05-leave-one-out", leave_one_out),
        ("05-log-prob", text_log_prob),
        ("06-chunks", chunks),
        ("06-paired-interval", standard_error_of_difference),
        ("07-entity-f1", entity_f1),
        ("07-align-labels", align_labels),
        ("07-lora-forward", lora_forward),
        ("08-macro-f1", macro_f1),
        ("08-label-log-prob", label_log_prob),
        ("08-with-prompt", with_prompt),
        ("09-f1", f1),
        ("09-standard-errors", standard_errors),
        ("09-mcnemar", p_value),
        ("10-lora-count", lora_count),
        ("10-bitfit", chosen),
        ("10-patience", kept),
        ("11-forgetting", lost),
        ("11-fisher", expected_squares),
        ("11-reservoir", sample),
        ("12-rep-n", rep_n),
        ("12-penalty", penalised),
        ("12-window", what_is_read),
        ("13-reduced", reduced),
        ("13-loss-at", loss_at),
        ("13-merged", merged),
    ],
)
def test_right_answers_written_another_way_pass(id, answer):
    """Tolerances must allow fp32 in another order, -1e9 for -inf, and a number as a tensor."""
    verdict = examine(exercises()[id], answer)
    assert verdict, verdict


@pytest.mark.parametrize("size", [(1, 2, 3, 4), (2, 8, 10, 6), (12, 768, 50_257, 1_024)])
def test_parameter_counts_are_those_of_transformers(size):
    from transformers import GPT2Config, GPT2LMHeadModel

    n_layer, n_embd, vocab_size, block_size = size
    config = GPT2Config(n_layer=n_layer, n_embd=n_embd, vocab_size=vocab_size, n_positions=block_size, n_head=1)
    with torch.device("meta"):
        model = GPT2LMHeadModel(config)
    model.tie_weights()
    expected = sum(p.numel() for p in model.parameters())
    assert exercises()["01-count-parameters"].reference(*size) == expected
    if size[0] == 12:
        assert expected == 124_439_808


def test_the_first_attention_case_is_what_its_words_say():
    """Students check it by eye: row i is the mean of v's rows up to i."""
    exercise = exercises()["01-causal-attention"]
    _, _, v = exercise.cases[0].make()
    means = torch.stack([v[0, : i + 1].mean(0) for i in range(3)])[None]
    assert complaint(_call(exercise.reference, exercise.cases[0]), means) is None


def test_the_learning_rates_are_what_their_words_say():
    exercise = exercises()["02-learning-rate"]
    rates = [_call(exercise.reference, case) for case in exercise.cases]
    assert rates[:3] == pytest.approx([1e-4, 1e-3, 1e-3])
    assert rates[4] == pytest.approx((1e-3 + 1e-4) / 2)
    assert 1e-4 < rates[5] < 1.01e-4 and rates[6:] == [1e-4, 1e-4]


def test_the_bits_are_what_their_words_say():
    exercise = exercises()["02-bits-per-byte"]
    assert [_call(exercise.reference, c) for c in exercise.cases[:2]] == pytest.approx([1, 8])


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("01-training-bytes", 160),
        ("03-causal-labels", torch.tensor([-100, -100, 21, 22])),
        ("03-rouge-l", 4 / 7),
        ("04-kept-layers", [0, 3]),
        ("04-masked-loss", 2.0),
        ("05-leave-one-out", torch.tensor([[-0.4, 0.4]])),
        ("05-log-prob", torch.tensor([-3 * math.log(5)])),
        ("04-read-curves", ("overfits", 400)),
        ("05-noise", 2**0.5),
        ("06-papers-needed", 16),
        ("06-read-intervals", "better"),
        ("06-chunks", [["a", "b", "c"], ["c", "d", "e"], ["e", "f", "g"]]),
        ("06-paired-interval", 0.1),
        ("07-entity-f1", 0.4),
        ("07-align-labels", [-100, 3, -100, 0, -100]),
        ("07-lora-forward", torch.tensor([[7.0, 2.0]])),
        ("08-macro-f1", 2 / 3),
        ("08-label-log-prob", -2 * math.log(5)),
        ("08-with-prompt", (torch.tensor([[[9.0], [8], [1], [2], [3]]]), torch.tensor([[-100, -100, -100, 5, 6]]))),
        ("09-f1", 0.8),
        ("09-standard-errors", 2.0),
        ("09-mcnemar", 0.625),
        ("10-lora-count", 14),
        ("10-bitfit", ["mlp.c_fc.bias", "ln_f.bias"]),
        ("10-patience", 1),
        ("11-forgetting", [0.3]),
        ("11-fisher", torch.tensor([0.25, 1.0])),
        ("11-reservoir", ["a", "c"]),
        ("12-rep-n", 0.5),
        ("12-penalty", torch.tensor([1.0, -2.0, 0.5])),
        ("12-window", [1, 2, 8, 9]),
        ("13-reduced", (torch.tensor([[0, 0]]), torch.tensor([[0.75, 1.0]]).log())),
        ("13-loss-at", math.log(5)),
        ("13-merged", torch.tensor([[7.0, 12.0], [0.0, 1.0]])),
    ],
)
def test_the_first_case_is_what_its_words_say(id, expected):
    """Students do it on paper."""
    assert complaint(_call(exercises()[id].reference, exercises()[id].cases[0]), expected) is None


# The references against the library's own, on random inputs.


def test_the_bytes_of_training_are_adams():
    model = torch.nn.Linear(9, 11)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, 9)).sum().backward()
    optimiser.step()
    held = [t for p in model.parameters() for t in (p, p.grad, *optimiser.state[p].values()) if t.shape == p.shape]
    expected = sum(t.numel() * t.element_size() for t in held)
    assert exercises()["01-training-bytes"].reference(9 * 11 + 11, 4) == expected


def test_the_noise_of_a_leave_one_out_advantage_is_measured():
    from labkit.training.policy import advantages

    torch.manual_seed(0)
    for k in (2, 5):
        measured = advantages("rloo", 0.3 * torch.randn(40_000, k)).std().item()
        assert exercises()["05-noise"].reference(0.3, k) == pytest.approx(measured, rel=0.01)


@pytest.mark.parametrize("draw", [plots.draw_runs, plots.draw_systems])
def test_a_figure_to_read_can_be_read_without_seeing_it(draw):
    """Every number of the exercise stands in the words, and no answer does."""
    from labkit.report.figures import check

    figure, alt = draw()
    check(figure, alt)
    answers = "overfits", "diverges", "settled", "better", "worse", "told"
    assert not any(word in alt for word in answers) and len(re.findall(r"\d\.\d+", alt)) >= 30


def test_what_is_to_be_seen_can_be_seen():
    """The weights to keep lie clearly below their neighbours; intervals end well away from 0."""
    for _, val in plots.runs().values():
        assert sorted(val)[1] - min(val) > 0.02
    for system in "ABCDE":
        low, _, high = plots.paired_interval(system)
        assert min(abs(low), abs(high)) > 0.005


def test_causal_labels_are_the_librarys():
    from labkit.tasks.pairs import causal

    torch.manual_seed(0)
    g = random.Random(0)
    pairs = [tuple(torch.randint(100, (g.randint(1, 9),)) for _ in range(2)) for _ in range(50)]
    for pair in pairs:
        assert torch.equal(exercises()["03-causal-labels"].reference(*pair), causal([pair], pad_id=0)["labels"][0])


def test_rouge_l_is_the_librarys():
    from labkit.evaluation.rouge import rouge_l as theirs

    g = random.Random(0)
    for _ in range(200):
        ours, reference = (g.choices("abcde", k=g.randint(0, 12)) for _ in range(2))
        expected = theirs(" ".join(ours), " ".join(reference))
        assert exercises()["03-rouge-l"].reference(ours, reference) == pytest.approx(expected, abs=1e-12)


def test_kept_layers_are_the_librarys():
    from labkit.models.bart import kept_layers as theirs

    for n in range(1, 25):
        for keep in range(1, n + 1):
            assert exercises()["04-kept-layers"].reference(n, keep) == theirs(n, keep)


def test_the_masked_loss_is_torchs():
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 7, 11), torch.randint(11, (4, 7)).masked_fill(torch.rand(4, 7) < 0.4, -100)
    nats = torch.nn.functional.cross_entropy(logits.mT, labels.clamp_min(0), reduction="none")
    expected = torch.nn.functional.cross_entropy(logits.mT, labels)
    assert exercises()["04-masked-loss"].reference(nats, labels) == pytest.approx(expected.item())


def test_leave_one_out_is_the_librarys():
    from labkit.training.policy import advantages

    torch.manual_seed(0)
    rewards = torch.rand(5, 4)
    torch.testing.assert_close(exercises()["05-leave-one-out"].reference(rewards), advantages("rloo", rewards))


def test_the_log_probability_of_a_text_is_the_librarys():
    from transformers import BartConfig, BartForConditionalGeneration

    from labkit.training.policy import LogProbs

    torch.manual_seed(0)
    small = dict(encoder_layers=1, decoder_layers=1, encoder_attention_heads=1, decoder_attention_heads=1)
    config = BartConfig(vocab_size=20, d_model=8, encoder_ffn_dim=8, decoder_ffn_dim=8, init_std=1.0, **small)
    model, pad = BartForConditionalGeneration(config).eval(), config.pad_token_id
    source, text = torch.randint(3, 20, (3, 6)), torch.randint(3, 20, (3, 5))
    text[0, 2:] = torch.tensor([config.eos_token_id, pad, pad])
    shifted = torch.cat([torch.full((3, 1), config.decoder_start_token_id), text[:, :-1]], dim=1)
    with torch.no_grad():
        logits = model(input_ids=source, decoder_input_ids=shifted).logits
        expected = LogProbs(model)(source, torch.ones_like(source), text)
    torch.testing.assert_close(exercises()["05-log-prob"].reference(logits, text, pad), expected)


def test_chunks_are_the_librarys_where_no_sentence_ends():
    from labkit.evaluation.hierarchical import cut

    g = random.Random(0)
    for _ in range(50):
        words, budget = [f"w{i}" for i in range(g.randint(0, 40))], g.randint(2, 12)
        overlap = g.randint(0, budget - 1)
        expected = cut([" ".join(words)], lambda text: len(text.split()), budget, overlap)
        pieces = exercises()["06-chunks"].reference(words, budget, overlap)
        assert [" ".join(piece) for piece in pieces] == expected


def test_the_standard_error_is_scipys():
    from scipy.stats import sem

    a, b = np.random.default_rng(0).random((2, 30))
    assert exercises()["06-paired-interval"].reference(list(a), list(b)) == pytest.approx(sem(a - b))


def test_entity_f1_is_seqevals():
    from labkit.evaluation.entities import entities, entity_scores

    g = random.Random(0)
    for _ in range(100):
        sentences = [[[g.choice(("O", "B-DNA", "I-DNA", "B-RNA")) for _ in range(6)] for _ in range(3)] for _ in "ab"]
        gold, predicted = ([[tuple(e) for e in entities(tags)] for tags in some] for some in sentences)
        expected = entity_scores(*sentences).f1
        assert exercises()["07-entity-f1"].reference(gold, predicted) == pytest.approx(expected)


def test_aligned_labels_are_the_librarys():
    from labkit.tasks.alignment import align
    from labkit.tasks.ner import LABELS
    from labkit.tasks.synthetic_ner import synthetic_ner
    from labkit.zoo import train_tokenizer

    sentences = synthetic_ner(20, 1).train
    tokenizer = train_tokenizer([" ".join(s.tokens) for s in sentences[:5]])
    for sentence, example in zip(sentences, align(tokenizer, sentences, 1_000), strict=True):
        words = tokenizer(list(sentence.tokens), is_split_into_words=True).word_ids()
        labels = [LABELS.index(tag) for tag in sentence.tags]
        assert exercises()["07-align-labels"].reference(words, labels) == example["labels"]


def test_lora_is_the_librarys():
    from labkit.models.lora import LoRA

    torch.manual_seed(0)
    layer, x = LoRA(torch.nn.Linear(6, 4, bias=False), r=2, alpha=8), torch.randn(3, 6)
    torch.nn.init.normal_(layer.B)
    expected = exercises()["07-lora-forward"].reference(x, layer.linear.weight, layer.A, layer.B, 8)
    torch.testing.assert_close(layer(x), expected)


def test_macro_f1_is_the_librarys():
    from labkit.evaluation.classification import score

    g = random.Random(0)
    for _ in range(100):
        truth, predicted = g.choices(range(3), k=12), g.choices(range(-1, 4), k=12)
        expected = score(truth, predicted, 4).macro_f1
        assert exercises()["08-macro-f1"].reference(truth, predicted, 4) == pytest.approx(expected)


def test_the_log_probability_of_a_label_is_transformers_loss():
    from labkit.models.neo import new_neo

    torch.manual_seed(0)
    model, ids, n_prompt = new_neo(50, 16, 2, 2, 32, 4), torch.randint(50, (8,)), 5
    labels = torch.where(torch.arange(8) < n_prompt, -100, ids)
    with torch.no_grad():
        out = model(ids[None], labels=labels[None])
    nats = exercises()["08-label-log-prob"].reference(out.logits[0], n_prompt, ids[n_prompt:])
    assert nats == pytest.approx(-3 * out.loss.item(), rel=1e-5)


def test_a_prompt_before_texts_is_the_librarys():
    from labkit.models.neo import new_neo
    from labkit.models.soft_prompt import SoftPrompt

    torch.manual_seed(0)
    soft, ids = SoftPrompt(new_neo(50, 16, 2, 2, 32, 4), 3), torch.randint(50, (2, 6))
    labels = ids.masked_fill(torch.arange(6) < 4, -100)
    with torch.no_grad():
        text = soft.backbone.get_input_embeddings()(ids)
        rows, asked = exercises()["08-with-prompt"].reference(soft.prompt, text, labels)
        assert torch.equal(rows, soft.embed(ids))
        expected = soft(ids, labels=labels).loss
        torch.testing.assert_close(soft.backbone(inputs_embeds=rows, labels=asked).loss, expected)


def test_f1_of_one_label_is_the_librarys():
    from labkit.evaluation.classification import score

    g = random.Random(0)
    for _ in range(100):
        truth, predicted = g.choices((0, 1), k=8), g.choices((0, 1), k=8)
        assert exercises()["09-f1"].reference(truth, predicted) == pytest.approx(score(truth, predicted, 2).f1[1])


@pytest.mark.parametrize("r", [1, 16])
def test_loras_numbers_are_those_that_the_library_trains(r):
    from labkit.models.freezing import trainable
    from labkit.models.lora import add_lora
    from labkit.models.neo import new_neo

    model = new_neo(50, 16, 2, 2, 32, 4)
    targets = ("q_proj", "c_fc")
    shapes = [tuple(m.weight.shape) for name, m in model.named_modules() if name.endswith(targets)]
    assert exercises()["10-lora-count"].reference(shapes, r) == trainable(add_lora(model, r, targets=targets))[0]


def test_the_chosen_names_are_those_that_bitfit_trains():
    from transformers import GPTNeoForTokenClassification

    from labkit.models.freezing import bitfit
    from labkit.models.neo import new_neo

    config = new_neo(50, 16, 2, 2, 32, 4).config
    parameters = dict(bitfit(GPTNeoForTokenClassification(config)).named_parameters())
    expected = [name for name, p in parameters.items() if p.requires_grad]
    assert exercises()["10-bitfit"].reference(list(parameters)) == expected


def test_patience_is_the_librarys():
    from labkit.training.early_stopping import EarlyStopping

    g = random.Random(0)
    for _ in range(200):
        losses, patience = [g.randint(0, 9) for _ in range(g.randint(1, 12))], g.randint(1, 4)
        stopper = EarlyStopping(torch.nn.Linear(1, 1), patience)
        for step, loss in enumerate(losses):
            if stopper([{"step": step, "val_loss": loss}]):
                break
        assert exercises()["10-patience"].reference(losses, patience) == stopper.best_step


def test_what_is_left_of_logits_is_the_librarys():
    from labkit.evaluation.streaming import reduce_logits

    for case in exercises()["13-reduced"].cases:
        logits, labels = case.make()
        ids, log_probs = _call(exercises()["13-reduced"].reference, case)
        theirs = reduce_logits(logits, labels)
        assert torch.equal(ids, theirs[0]) and torch.equal(log_probs, theirs[1].where(labels >= 0, 0))


def test_a_loss_at_a_temperature_is_the_librarys():
    from labkit.models.qwen import new_qwen
    from labkit.training.loss_rouge_museum import rescaled_losses

    torch.manual_seed(0)
    model, ids, labels = new_qwen(20, 16, 1, 2, 1, 8), torch.randint(20, (2, 6)), torch.randint(20, (2, 6))
    with torch.no_grad():
        logits = model(ids).logits.flatten(0, 1)
    expected = rescaled_losses(model, [{"input_ids": ids, "labels": labels}], [0.5, 2.0])
    ours = [exercises()["13-loss-at"].reference(logits, labels.flatten(), t) for t in (0.5, 2.0)]
    assert ours == pytest.approx(expected)


def test_a_merged_matrix_is_the_librarys():
    from labkit.models.lora import LoRA

    torch.manual_seed(0)
    layer = LoRA(torch.nn.Linear(6, 4), r=2, alpha=8)
    torch.nn.init.normal_(layer.B)
    expected = exercises()["13-merged"].reference(layer.linear.weight.clone(), layer.A, layer.B, 8)
    layer.merge()
    torch.testing.assert_close(layer.linear.weight, expected)


def test_repetition_the_penalty_and_the_window_are_the_librarys():
    from labkit.evaluation.controls import penalise
    from labkit.evaluation.repetition import rep
    from labkit.training.domain import fit

    g = random.Random(0)
    torch.manual_seed(0)
    for _ in range(200):
        tokens, n = g.choices("abc", k=g.randint(0, 20)), g.randint(1, 4)
        assert exercises()["12-rep-n"].reference(tokens, n) == pytest.approx(rep(tokens, n))
        logits, seen = torch.randn(9), g.choices(range(9), k=g.randint(1, 12))
        expected = penalise(torch.tensor([seen]), logits[None], 1.3)[0]
        assert torch.equal(exercises()["12-penalty"].reference(logits, seen, 1.3), expected)
        front, told, room = seen[: g.randint(0, 12)], g.choices(range(9), k=g.randint(0, 12)), g.randint(0, 15)
        assert exercises()["12-window"].reference(front, told, room) == fit(front, told, room)


def test_forgetting_is_the_librarys():
    from labkit.evaluation.continual import forgetting

    rng = np.random.default_rng(0)
    for n in range(2, 7):
        matrix = rng.random((n, n)).tolist()
        assert exercises()["11-forgetting"].reference(matrix) == pytest.approx(forgetting(matrix))


def test_the_fisher_of_a_small_model_is_the_librarys():
    """A language model of two words: the other has a logit of 0."""
    from types import SimpleNamespace

    from labkit.training.regularisers import fisher

    class Small(torch.nn.Module):
        def __init__(self, x, w):
            super().__init__()
            self.x, self.w = x, torch.nn.Parameter(w)

        def forward(self, input_ids, logits_to_keep):
            score = (self.x[input_ids[:, logits_to_keep]] * self.w).sum(-1)  # no matrix product, which bf16 would round
            return SimpleNamespace(logits=torch.stack([score, torch.zeros_like(score)], dim=-1))

    torch.manual_seed(0)
    x, w = torch.randn(8, 4), torch.randn(4)
    pairs = [(torch.tensor([i]), torch.tensor([i % 2])) for i in range(8)]
    torch.testing.assert_close(exercises()["11-fisher"].reference(x, w), fisher(Small(x, w), pairs)["w"])


def test_the_reservoir_is_the_librarys(monkeypatch):
    from labkit.training.replay import Reservoir

    g = random.Random(0)
    for _ in range(100):
        items, size = [str(i) for i in range(g.randint(1, 30))], g.randint(1, 8)
        draws = [g.random() for _ in items]
        memory = Reservoir(size, 0)
        monkeypatch.setattr(memory.rng, "randrange", lambda n, draws=draws: int(draws[n - 1] * n))
        memory.extend(items)
        assert exercises()["11-reservoir"].reference(items, size, draws) == memory.kept
