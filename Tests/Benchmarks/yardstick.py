"""llama.cpp through the functions of its library, without its log."""

import ctypes

import llama_cpp as llama

_silence = llama.llama_log_callback(lambda level, text, data: None)


def start():
    llama.llama_log_set(_silence, ctypes.c_void_p())
    llama.llama_backend_init()


def system_info():
    """What the library was built for, as it says itself."""
    return llama.llama_print_system_info().decode()


def quantise(source, target, file_type):
    """Writes `source` in another format, with the choices that llama.cpp makes for it."""
    settings = llama.llama_model_quantize_default_params()
    settings.ftype = file_type
    settings.allow_requantize = True
    status = llama.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(settings))
    assert status == 0, f"llama_model_quantize: {status}"


class Runner:
    """A model and a context for `sequences` sequences of `length` tokens."""

    def __init__(self, path, threads, sequences, length, outputs=None):
        settings = llama.llama_model_default_params()
        settings.n_gpu_layers = 0
        self.model = llama.llama_model_load_from_file(str(path).encode(), settings)
        assert self.model, f"llama.cpp cannot load {path}"
        # Everything else is as llama.cpp has it: f16 cache, flash attention where it thinks best, weights repacked for
        # this processor.
        settings = llama.llama_context_default_params()
        settings.n_ctx = length * sequences
        settings.n_batch = settings.n_ubatch = 512
        settings.n_seq_max = sequences
        settings.n_threads = settings.n_threads_batch = threads
        if outputs:
            settings.n_outputs_max_per_seq = outputs
        self.context = llama.llama_init_from_model(self.model, settings)
        assert self.context, "llama.cpp gives no context"
        self.memory = llama.llama_get_memory(self.context)
        self.vocabulary = llama.llama_model_get_vocab(self.model)
        self.vocabulary_size = llama.llama_vocab_n_tokens(self.vocabulary)
        self.batch = llama.llama_batch_init(512, 0, 1)

    def close(self):
        llama.llama_batch_free(self.batch)
        llama.llama_free(self.context)
        llama.llama_model_free(self.model)

    def forget(self, sequence, position):
        """Takes the positions from `position` on out of a sequence's cache."""
        assert llama.llama_memory_seq_rm(self.memory, sequence, position, -1)

    def run(self, entries):
        """Entries are (token, position, sequence, wants logits), at most 512."""
        self.batch.n_tokens = len(entries)
        for row, (token, position, sequence, wanted) in enumerate(entries):
            self.batch.token[row] = token
            self.batch.pos[row] = position
            self.batch.n_seq_id[row] = 1
            self.batch.seq_id[row][0] = sequence
            self.batch.logits[row] = wanted
        status = llama.llama_decode(self.context, self.batch)
        assert status == 0, f"llama_decode: {status}"
        llama.llama_synchronize(self.context)

    def logits(self, row):
        """Of the batch's entry `row`: a pointer to as many floats as the vocabulary has tokens."""
        return llama.llama_get_logits_ith(self.context, row)

    def tokens(self, text):
        """The ids of a text, special tokens added as the model wants."""
        encoded = text.encode()
        ids = (llama.llama_token * (len(encoded) + 8))()
        count = llama.llama_tokenize(self.vocabulary, encoded, len(encoded), ids, len(ids), True, False)
        assert count >= 0, "more tokens than bytes"
        return ids[:count]

    def beginning(self):
        """The token that begins every text, or None."""
        if llama.llama_vocab_get_add_bos(self.vocabulary):
            return llama.llama_vocab_bos(self.vocabulary)
        return None
