/// The character classes of split expressions, as Unicode 16 defines them.
///
/// The `tokenizers` library behaves as Unicode 16; Debian's PCRE2 knows Unicode 14 and counts
/// U+180E as white space. So expressions are compiled with explicit ranges, which come from Swift's
/// own tables cut at `age <= 16.0`.
enum UnicodeClasses {
  /// The set of a `\p{name}`: a general category, a group of them, a script, or a binary property.
  /// Names compare without case, blanks, `_` and `-`. Nil for an unknown name.
  static func property(_ name: String) -> ScalarSet? {
    let key = String(
      String.UnicodeScalarView(
        name.lowercased().unicodeScalars.filter { !" _-".unicodeScalars.contains($0) }))
    if let categories = categoryNames[key] {
      return categories.reduce(ScalarSet.empty) { $0.union(categorySets[$1] ?? .empty) }
    }
    return binary[key]?() ?? blocks[key].map { ScalarSet($0) }
  }

  static let letters = set(of: "L")
  static let marks = set(of: "M")
  static let numbers = set(of: "N")
  static let decimalDigits = set(of: "Nd")
  static let punctuation = set(of: "P")
  static let whiteSpace = scan { $0.isWhitespace }
  static let alphabetic = scan { $0.isAlphabetic }
  static let uppercase = scan { $0.isUppercase }
  static let lowercase = scan { $0.isLowercase }
  /// Oniguruma's `\w`: Alphabetic, M, Nd, Pc, and the superscripts and fractions of Latin-1, which
  /// its own table for that block adds.
  static let word = wordCore.union(ScalarSet([0xB2...0xB3, 0xB9...0xB9, 0xBC...0xBE]))
  /// Rust's `\w` (UTS 18): Alphabetic, M, Nd, Pc and the two joiners.
  static let rustWord = wordCore.union(ScalarSet([0x200C...0x200D]))
  /// `\w` inside a class, where that table does not apply.
  static let wordCore = alphabetic.union(marks).union(decimalDigits).union(set(of: "Pc"))
  /// The parts of the library that are not expressions have older tables, each its own: accents
  /// those of Unicode 9.
  static let accents = scan(by: 9) {
    ["mn", "mc", "me"].contains(abbreviation($0.generalCategory))
  }
  .union(ScalarSet([0x1CF2...0x1CF3])).subtracting(ScalarSet([0x111C9...0x111C9]))
  /// What BERT's normalizer takes for accents: Unicode 8.
  static let bertAccents = scan(by: 8) { $0.generalCategory == .nonspacingMark }
    .union(ScalarSet([0x1734...0x1734, 0x1171E...0x1171E]))
    .subtracting(ScalarSet([0x1885...0x1886, 0xA9BD...0xA9BD, 0x111C9...0x111C9]))
  /// Format controls and private use of Unicode 8, which BERT's normalizer drops.
  static let bertFormats = scan(by: 8) { $0.generalCategory == .format }
    .union(set(of: "Co"))
  /// Punctuation of Unicode 8 and ASCII's, which counts symbols such as `$`.
  static let asciiOrPunctuation = scan(by: 8) { abbreviation($0.generalCategory).hasPrefix("p") }
    .union(ScalarSet([0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E]))
    .union(ScalarSet([0x166D...0x166D, 0x111C9...0x111C9]))

  private static func set(of name: String) -> ScalarSet { property(name) ?? .empty }

  // MARK: tables

  /// Code points that can be assigned outside the private use planes; beyond them lie only gaps.
  private static let assignable: [ClosedRange<UInt32>] = [0...0x3FFFF, 0xE0000...0xE0FFF]

  private static func scan(
    by version: Int = 16, _ holds: (Unicode.Scalar.Properties) -> Bool
  ) -> ScalarSet {
    var ranges: [ClosedRange<UInt32>] = []
    for value in assignable.joined() {
      guard let scalar = Unicode.Scalar(value), isAssigned(scalar.properties, by: version),
        holds(scalar.properties)
      else { continue }
      if let last = ranges.last, last.upperBound + 1 == value {
        ranges[ranges.count - 1] = last.lowerBound...value
      } else {
        ranges.append(value...value)
      }
    }
    return ScalarSet(ranges)
  }

  /// Whether a scalar belongs to a version of Unicode (`major`.0).
  static func isAssigned(_ properties: Unicode.Scalar.Properties, by major: Int = 16) -> Bool {
    guard let age = properties.age else { return false }
    return age.major < major || (age.major == major && age.minor == 0)
  }

  private static let categorySets: [String: ScalarSet] = {
    var ranges: [String: [ClosedRange<UInt32>]] = [:]
    var run: (name: String, first: UInt32, last: UInt32)?
    for value in assignable.joined() {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let properties = scalar.properties
      let name = isAssigned(properties) ? abbreviation(properties.generalCategory) : "cn"
      if let current = run, current.name == name, current.last + 1 == value {
        run?.last = value
      } else {
        if let run { ranges[run.name, default: []].append(run.first...run.last) }
        run = (name, value, value)
      }
    }
    if let run { ranges[run.name, default: []].append(run.first...run.last) }
    ranges["cn", default: []] += [0x40000...0xDFFFF, 0xE1000...0xEFFFF]
    ranges["cn", default: []] += [0xFFFFE...0xFFFFF, 0x10FFFE...0x10FFFF]
    ranges["co", default: []] += [0xF0000...0xFFFFD, 0x100000...0x10FFFD]
    ranges["cs"] = [0xD800...0xDFFF]
    return ranges.mapValues { ScalarSet($0) }
  }()

  private static func abbreviation(_ category: Unicode.GeneralCategory) -> String {
    switch category {
    case .uppercaseLetter: "lu"
    case .lowercaseLetter: "ll"
    case .titlecaseLetter: "lt"
    case .modifierLetter: "lm"
    case .otherLetter: "lo"
    case .nonspacingMark: "mn"
    case .spacingMark: "mc"
    case .enclosingMark: "me"
    case .decimalNumber: "nd"
    case .letterNumber: "nl"
    case .otherNumber: "no"
    case .connectorPunctuation: "pc"
    case .dashPunctuation: "pd"
    case .openPunctuation: "ps"
    case .closePunctuation: "pe"
    case .initialPunctuation: "pi"
    case .finalPunctuation: "pf"
    case .otherPunctuation: "po"
    case .mathSymbol: "sm"
    case .currencySymbol: "sc"
    case .modifierSymbol: "sk"
    case .otherSymbol: "so"
    case .spaceSeparator: "zs"
    case .lineSeparator: "zl"
    case .paragraphSeparator: "zp"
    case .control: "cc"
    case .format: "cf"
    case .surrogate: "cs"
    case .privateUse: "co"
    case .unassigned: "cn"
    @unknown default: "cn"
    }
  }

  /// Every name of a category or group, short and long (Unicode's PropertyValueAliases.txt).
  private static let categoryNames: [String: [String]] = {
    let members: [(names: [String], of: [String])] = [
      (["l", "letter"], ["lu", "ll", "lt", "lm", "lo"]),
      (["lc", "casedletter", "l&"], ["lu", "ll", "lt"]),
      (["lu", "uppercaseletter"], ["lu"]), (["ll", "lowercaseletter"], ["ll"]),
      (["lt", "titlecaseletter"], ["lt"]), (["lm", "modifierletter"], ["lm"]),
      (["lo", "otherletter"], ["lo"]), (["m", "mark", "combiningmark"], ["mn", "mc", "me"]),
      (["mn", "nonspacingmark"], ["mn"]), (["mc", "spacingmark"], ["mc"]),
      (["me", "enclosingmark"], ["me"]), (["n", "number"], ["nd", "nl", "no"]),
      (["nd", "decimalnumber"], ["nd"]), (["nl", "letternumber"], ["nl"]),
      (["no", "othernumber"], ["no"]),
      (["p", "punctuation"], ["pc", "pd", "ps", "pe", "pi", "pf", "po"]),
      (["pc", "connectorpunctuation"], ["pc"]), (["pd", "dashpunctuation"], ["pd"]),
      (["ps", "openpunctuation"], ["ps"]), (["pe", "closepunctuation"], ["pe"]),
      (["pi", "initialpunctuation"], ["pi"]), (["pf", "finalpunctuation"], ["pf"]),
      (["po", "otherpunctuation"], ["po"]), (["s", "symbol"], ["sm", "sc", "sk", "so"]),
      (["sm", "mathsymbol"], ["sm"]), (["sc", "currencysymbol"], ["sc"]),
      (["sk", "modifiersymbol"], ["sk"]), (["so", "othersymbol"], ["so"]),
      (["z", "separator"], ["zs", "zl", "zp"]), (["zs", "spaceseparator"], ["zs"]),
      (["zl", "lineseparator"], ["zl"]), (["zp", "paragraphseparator"], ["zp"]),
      (["c", "other"], ["cc", "cf", "cs", "co", "cn"]), (["cc", "control"], ["cc"]),
      (["cf", "format"], ["cf"]), (["cs", "surrogate"], ["cs"]), (["co", "privateuse"], ["co"]),
      (["cn", "unassigned"], ["cn"]),
    ]
    return Dictionary(
      members.flatMap { entry in entry.names.map { ($0, entry.of) } }, uniquingKeysWith: { $1 })
  }()

  private static let binary: [String: @Sendable () -> ScalarSet] = [
    "any": { .full }, "ascii": { ScalarSet([0...0x7F]) },
    "assigned": { set(of: "Cn").inverted },
    "alphabetic": { alphabetic }, "alpha": { alphabetic },
    "alnum": { alphabetic.union(decimalDigits) },
    "uppercase": { uppercase }, "upper": { uppercase },
    "lowercase": { lowercase }, "lower": { lowercase },
    "whitespace": { whiteSpace }, "space": { whiteSpace }, "word": { word },
    "digit": { decimalDigits }, "cntrl": { set(of: "Cc") },
    "blank": { set(of: "Zs").union(ScalarSet([9...9])) },
    "xdigit": { ScalarSet([0x30...0x39, 0x41...0x46, 0x61...0x66]) },
    "graph": {
      whiteSpace.union(set(of: "Cc")).union(set(of: "Cn")).union(set(of: "Cs")).inverted
    },
    "print": { set(of: "Cc").union(set(of: "Cn")).union(set(of: "Cs")).inverted },
    "punct": { punctuation.union(set(of: "S")) },
    "ideographic": { scan { $0.isIdeographic } }, "emoji": { scan { $0.isEmoji } },
    "emojipresentation": { scan { $0.isEmojiPresentation } },
  ]

  /// Scripts that published split expressions name (Unicode's Scripts.txt); PCRE2 answers for the
  /// others.
  private static let blocks: [String: [ClosedRange<UInt32>]] = [
    "han": [
      0x2E80...0x2E99, 0x2E9B...0x2EF3, 0x2F00...0x2FD5, 0x3005...0x3005, 0x3007...0x3007,
      0x3021...0x3029, 0x3038...0x303B, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFA6D,
      0xFA70...0xFAD9, 0x16FE2...0x16FE3, 0x16FF0...0x16FF1, 0x20000...0x2A6DF,
      0x2A700...0x2B739, 0x2B740...0x2B81D, 0x2B820...0x2CEA1, 0x2CEB0...0x2EBE0,
      0x2EBF0...0x2EE5D, 0x2F800...0x2FA1D, 0x30000...0x3134A, 0x31350...0x323AF,
    ],
    "hiragana": [
      0x3041...0x3096, 0x309D...0x309F, 0x1B001...0x1B11F, 0x1B132...0x1B132,
      0x1B150...0x1B152, 0x1F200...0x1F200,
    ],
    "katakana": [
      0x30A1...0x30FA, 0x30FD...0x30FF, 0x31F0...0x31FF, 0x32D0...0x32FE, 0x3300...0x3357,
      0xFF66...0xFF6F, 0xFF71...0xFF9D, 0x1AFF0...0x1AFF3, 0x1AFF5...0x1AFFB,
      0x1AFFD...0x1AFFE, 0x1B000...0x1B000, 0x1B120...0x1B122, 0x1B155...0x1B155,
      0x1B164...0x1B167,
    ],
    "hangul": [
      0x1100...0x11FF, 0x302E...0x302F, 0x3131...0x318E, 0x3200...0x321E, 0x3260...0x327E,
      0xA960...0xA97C, 0xAC00...0xD7A3, 0xD7B0...0xD7C6, 0xD7CB...0xD7FB, 0xFFA0...0xFFBE,
      0xFFC2...0xFFC7, 0xFFCA...0xFFCF, 0xFFD2...0xFFD7, 0xFFDA...0xFFDC,
    ],
  ]
}
