/// The split expressions that GGUF files name in `tokenizer.ggml.pre` (llama.cpp,
/// `llama-vocab.cpp`).
///
/// A GGUF file carries no expressions, only these names; the expressions are those of the models'
/// own tokenizer.json files.
struct SplitExpressions: Sendable {
  /// Applied one after the other to every piece, matches and gaps both becoming pieces.
  var expressions: [String]
  /// A piece that is a token as a whole is not merged up from its characters.
  var ignoresMerges = false
  /// Whether a text is begun with the beginning-of-sequence token when the file does not say.
  var addsBeginning = false
  var normalization: NormalizationForm?

  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let blanks = #"\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let punctuationRun = #" ?[^\s\p{L}\p{N}]+[\r\n]*"#
  private static let gpt2 = PreTokenizer.gpt2Expression

  private static func words(numbers: String, word: String = #"[^\r\n\p{L}\p{N}]?\p{L}+"#) -> String
  {
    "\(contractions)|\(word)|\(numbers)|\(punctuationRun)|\(blanks)"
  }

  /// Words split where lower case turns to upper case (GPT-4o's expression).
  private static func casedWords(suffix: String, numbers: String) -> String {
    let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
    let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
    let lead = #"[^\r\n\p{L}\p{N}]?"#
    return "\(lead)\(upper)*\(lower)+\(suffix)|\(lead)\(upper)+\(lower)*\(suffix)|\(numbers)"
      + #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|"# + blanks
  }

  private static let deepSeekWords =
    ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##
    + #"| ?[\p{P}\p{S}]+[\r\n]*|"# + blanks

  /// GPT-4o's words with Chinese characters kept apart (Kimi K2).
  private static var kimiWords: String {
    let notHan = #"&&[^\p{Han}]]"#
    let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"# + notHan
    let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}"# + notHan
    let lead = #"[^\r\n\p{L}\p{N}]?"#
    let words =
      "\(lead)\(upper)*\(lower)+\(contractions)?|\(lead)\(upper)+\(lower)*\(contractions)?"
    return #"[\p{Han}]+|"# + words + #"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"# + blanks
  }

  /// The expressions of a name; nil for an unknown one.
  static func named(_ name: String) -> SplitExpressions? {
    switch name {
    case "default", "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de",
      "a.x-4.0", "mellum", "modern-bert", "jina-v1-en", "jina-v2-code", "roberta-bpe", "mpt",
      "olmo",
      "jais", "trillion", "granite-docling":
      SplitExpressions(expressions: [gpt2])
    case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
      "mellum2":
      SplitExpressions(expressions: [#"\p{N}"#, gpt2])
    case "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
      "jina-v5-nano":
      SplitExpressions(
        expressions: [words(numbers: #"\p{N}{1,3}"#)], ignoresMerges: true, addsBeginning: true)
    case "dbrx", "smaug-bpe", "chatglm-bpe", "glm4":
      SplitExpressions(expressions: [words(numbers: #"\p{N}{1,3}"#)])
    case "qwen2", "deepseek-r1-qwen", "megrez", "kormo", "f2llmv2", "hunyuan", "stablelm2",
      "grok-2",
      "solar-open":
      SplitExpressions(
        expressions: [words(numbers: #"\p{N}"#)],
        normalization: name == "qwen2" || name == "deepseek-r1-qwen" ? .composed : nil)
    case "qwen35":
      SplitExpressions(
        expressions: [
          contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"#
            + blanks
        ], normalization: .composed)
    case "deepseek-llm":
      SplitExpressions(expressions: [
        #"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, "[一-龥ࠀ-一가-퟿]+", #"\p{N}+"#,
      ])
    case "deepseek-coder":
      SplitExpressions(expressions: [
        #"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, "[一-龥ࠀ-一가-퟿]+", #"\p{N}"#,
      ])
    case "deepseek-v3", "hunyuan-dense", "joyai-llm":
      SplitExpressions(expressions: [#"\p{N}{1,3}"#, "[一-龥\u{3040}-ゟ゠-ヿ]+", deepSeekWords])
    case "falcon":
      SplitExpressions(expressions: [#"[\p{P}$+<=>^~|`]+"#, gpt2, "[0-9][0-9][0-9]"])
    case "tekken":
      SplitExpressions(
        expressions: [casedWords(suffix: "", numbers: #"\p{N}"#)], ignoresMerges: true,
        addsBeginning: true)
    case "gpt-4o", "llama4", "minimax-m2", "granite-4", "kanana2":
      SplitExpressions(expressions: [
        casedWords(suffix: "\(contractions)?", numbers: #"\p{N}{1,3}"#)
      ])
    case "bailingmoe", "bailingmoe2", "llada-moe":
      SplitExpressions(expressions: [
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"#
          + #"|\s*[\r\n]|\s+(?!\S)|\s+"#
      ])
    case "seed-coder":
      SplitExpressions(expressions: [
        contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|"# + blanks
      ])
    case "kimi-k2":
      SplitExpressions(expressions: [kimiWords])
    case "poro-chat", "bloom", "gpt3-finnish":
      SplitExpressions(expressions: [#" ?[^(\s|.,!?…。，、।۔،)]+"#])
    case "viking": SplitExpressions(expressions: [#" ?[^(\s|.,!?…。，、।۔،)]+"#, #"\p{N}"#])
    default: nil
    }
  }
}
