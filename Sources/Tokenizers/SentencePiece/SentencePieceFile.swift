/// What a SentencePiece `.model` file says (google/sentencepiece, `sentencepiece_model.proto`).
struct SentencePieceFile: Sendable {
  /// Kinds of pieces.
  enum PieceType: Int, Sendable {
    case normal = 1
    case unknown, control, userDefined, unused, byte
  }

  struct Piece: Sendable {
    var text: [UInt8] = []
    var score: Float = 0
    var type = PieceType.normal
  }

  /// How texts are cut (`TrainerSpec.ModelType`).
  enum Model: Int, Sendable {
    case unigram = 1
    case bytePair = 2
  }

  private(set) var pieces: [Piece] = []
  private(set) var model = Model.unigram
  private(set) var hasByteFallback = false
  private(set) var beginningID: Int?
  private(set) var endID: Int?
  /// The compiled rules; empty: none.
  private(set) var rules: [UInt8] = []
  private(set) var addsPrefix = true
  private(set) var removesExtraBlanks = true

  /// - Throws: `TokenizerError` for bytes that are no such file, or a kind of model that is not
  ///   supported.
  init(_ bytes: [UInt8]) throws {
    var (beginning, end) = (1, 2)
    var reader = ProtobufReader(bytes, bytes.indices)
    while let (number, value) = try reader.next() {
      guard let range = value.range else { continue }
      switch number {
      case 1:
        guard pieces.count < TokenTable.idLimit else {
          throw TokenizerError(.limitExceeded, place: "pieces", "too many tokens")
        }
        pieces.append(try Self.piece(bytes, range))
      case 2: try readTrainer(bytes, range, &beginning, &end)
      case 3: try readNormalizer(bytes, range)
      default: break
      }
    }
    guard !pieces.isEmpty else {
      throw TokenizerError(.malformed, place: "pieces", "there are none")
    }
    beginningID = pieces.indices.contains(beginning) ? beginning : nil
    endID = pieces.indices.contains(end) ? end : nil
  }

  private static func piece(_ bytes: [UInt8], _ range: Range<Int>) throws -> Piece {
    var piece = Piece()
    var reader = ProtobufReader(bytes, range)
    while let (number, value) = try reader.next() {
      switch number {
      case 1: if let range = value.range { piece.text = Array(bytes[range]) }
      case 2: piece.score = value.float ?? 0
      case 3:
        guard let type = value.int.flatMap({ PieceType(rawValue: $0) }) else {
          throw TokenizerError(.unsupported, place: "byte \(range.lowerBound)", "a piece's type")
        }
        piece.type = type
      default: break
      }
    }
    guard String(validating: piece.text, as: UTF8.self) != nil, piece.score.isFinite else {
      throw TokenizerError(
        .malformed, place: "byte \(range.lowerBound)", "a piece is no text or has no score")
    }
    return piece
  }

  private mutating func readTrainer(
    _ bytes: [UInt8], _ range: Range<Int>, _ beginning: inout Int, _ end: inout Int
  ) throws {
    var reader = ProtobufReader(bytes, range)
    while let (number, value) = try reader.next() {
      switch number {
      case 3:
        guard let kind = value.int.flatMap({ Model(rawValue: $0) }) else {
          throw TokenizerError(
            .unsupported, place: "trainer_spec.model_type", "is neither unigram nor bpe")
        }
        model = kind
      case 24 where value.bool == true:
        throw TokenizerError(
          .unsupported, place: "trainer_spec.treat_whitespace_as_suffix", "is set")
      case 35: hasByteFallback = value.bool ?? false
      case 41: beginning = value.int ?? -1
      case 42: end = value.int ?? -1
      default: break
      }
    }
  }

  private mutating func readNormalizer(_ bytes: [UInt8], _ range: Range<Int>) throws {
    var reader = ProtobufReader(bytes, range)
    while let (number, value) = try reader.next() {
      switch number {
      case 2: if let range = value.range { rules = Array(bytes[range]) }
      case 3: addsPrefix = value.bool ?? true
      case 4: removesExtraBlanks = value.bool ?? true
      case 5 where value.bool == false:
        throw TokenizerError(.unsupported, place: "normalizer_spec.escape_whitespaces", "is off")
      default: break
      }
    }
  }
}
