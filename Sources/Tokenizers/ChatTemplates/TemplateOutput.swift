/// The text that a block or a macro has written. Long pieces are kept as they came and copied once,
/// at the end, instead of again and again while the text grows.
struct TemplateOutput {
  private var pieces: [String] = []
  /// What came after the last long piece.
  private var tail = ""
  private(set) var byteCount = 0

  /// Fewer bytes are copied at once: a piece of its own takes 16 bytes besides its text.
  private static let longPiece = 1024

  mutating func append(_ text: String) {
    let count = text.utf8.count
    byteCount += count
    guard count >= Self.longPiece else {
      tail += text
      return
    }
    if !tail.isEmpty {
      pieces.append(tail)
      tail = ""
    }
    pieces.append(text)
  }

  var text: String {
    guard !pieces.isEmpty else { return tail }
    var text = ""
    text.reserveCapacity(byteCount)
    for piece in pieces { text += piece }
    text += tail
    return text
  }
}
