import FineTuning

/// Examples of a dataset as tokens, and the order in which they are learnt.
package struct TrainingDataset: Sendable {
  /// One for each example that can be learnt.
  package private(set) var sequences: [TrainingBatch.Sequence] = []
  /// What is wrong with the others, at most `errorLimit` of them.
  package private(set) var errors: [DatasetError] = []
  /// Lines with something on them.
  package private(set) var lines = 0
  /// Examples of which something was cut off.
  package private(set) var shortened = 0
  package static let errorLimit = 50

  /// Reads a dataset, all of it, whatever is wrong.
  ///
  /// - Parameters:
  ///   - lines: without their ends.
  ///   - progress: called after each line.
  package init(
    lines: some Sequence<[UInt8]>, _ encoder: ExampleEncoder, progress: (Int) -> Void = { _ in }
  ) {
    for (index, line) in lines.enumerated() {
      progress(index + 1)
      add(line, number: index + 1, encoder)
    }
    finish()
  }

  /// A dataset without examples, for whoever has its lines one by one: `add`, then `finish`.
  package init() {}

  /// Takes the next line; what is wrong with it is kept. A byte order mark before it is dropped, on
  /// any line: files may have been joined.
  ///
  /// - Parameter number: from 1.
  package mutating func add(_ line: [UInt8], number: Int, _ encoder: ExampleEncoder) {
    let line = line.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(line.dropFirst(3)) : line
    let isBlank = line.allSatisfy { [0x20, 0x09, 0x0d].contains($0) }
    if isBlank { return }
    lines += 1
    do throws(DatasetError) {
      let encoded = try encoder.encode(TrainingExample(line: line, number: number), line: number)
      if encoded.isShortened { shortened += 1 }
      sequences.append(encoded.sequence)
    } catch {
      refuse(error)
    }
  }

  /// Keeps what is wrong with a line, or with all of them.
  package mutating func refuse(_ error: DatasetError) {
    if errors.count < Self.errorLimit { errors.append(error) }
  }

  /// After the last line: there has to be one.
  package mutating func finish() {
    if lines == 0 { refuse(DatasetError(line: nil, "there is no example")) }
  }

  /// Tokens of all examples.
  package var tokenCount: Int { sequences.reduce(0) { $0 + $1.tokens.count } }

  /// Tokens that are learnt.
  package var labelCount: Int { TrainingBatch(sequences: sequences).labelCount }

  /// Takes some examples away to be held out: the first of a shuffled order, at least one, never
  /// all.
  ///
  /// - Parameter share: of the examples.
  package mutating func holdOut(share: Double, seed: Int64) -> [TrainingBatch.Sequence] {
    let held = Self.heldOut(of: sequences.count, share: share, seed: seed)
    guard !held.isEmpty else { return [] }
    let result = held.map { sequences[$0] }
    let isHeld = Set(held)
    sequences = sequences.indices.filter { !isHeld.contains($0) }.map { sequences[$0] }
    return result
  }

  /// Which of so many examples `holdOut` takes, rising.
  package static func heldOut(of examples: Int, share: Double, seed: Int64) -> [Int] {
    guard examples > 1 else { return [] }
    let count = max(1, min(examples - 1, Int((Double(examples) * share).rounded())))
    return ShuffledOrder.make(examples, seed: seed).prefix(count).sorted()
  }

  /// Gives away the examples that were added since the last call, for whoever needs only their
  /// sizes.
  package mutating func takeSequences() -> [TrainingBatch.Sequence] {
    defer { sequences = [] }
    return sequences
  }

  /// The batches of an epoch: all examples once, shuffled; the last batch may be smaller.
  package func batches(epoch: Int, size: Int, seed: Int64) -> [TrainingBatch] {
    let order = ShuffledOrder.make(sequences.count, seed: seed &+ Int64(epoch))
    return stride(from: 0, to: order.count, by: max(1, size)).map { start in
      TrainingBatch(
        sequences: order[start..<min(order.count, start + size)].map { sequences[$0] })
    }
  }
}
