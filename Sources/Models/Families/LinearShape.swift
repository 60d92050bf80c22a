/// The sizes of gated delta-net attention, and how its inputs are made of the matrices that
/// checkpoints have.
struct LinearShape {
  let keyHeads: Int
  let valueHeads: Int
  let keyDimension: Int
  let valueDimension: Int
  let taps: Int

  var values: Int { valueHeads * valueDimension }
  var channels: Int { 2 * keyHeads * keyDimension + values }

  /// Stored matrices [outputs, D].
  enum Matrix {
    /// For each key head: query, key, its values, their gates.
    case joint
    /// Queries, keys, values.
    case mixed
    case gate
    /// For each key head: its learning rates and decays.
    case jointSmall
    case learning
    case decay
  }

  struct Inputs {
    var mixed: ModelDescription.Linear
    var gate: ModelDescription.Linear
    var learning: ModelDescription.Linear
    var decay: ModelDescription.Linear
  }

  /// - Parameters:
  ///   - isGrouped: the large ones are one matrix.
  ///   - isSmallGrouped: the small ones are one matrix.
  ///   - linear: some rows of a stored matrix, or all.
  func inputs(
    isGrouped: Bool, isSmallGrouped: Bool,
    _ linear: (
      _ matrix: Matrix, _ outputs: Int, _ rows: ModelDescription.RowSelection?
    ) -> ModelDescription.Linear
  ) -> Inputs {
    typealias Rows = ModelDescription.RowSelection
    let (key, group) = (keyDimension, valueHeads / keyHeads)
    let own = group * valueDimension
    let period = 2 * key + 2 * own
    func rows(_ start: Int, _ count: Int, _ period: Int) -> Rows.Slice {
      .init(start: start, count: count, period: period, repeats: keyHeads)
    }
    func large(_ outputs: Int, _ slices: [Rows.Slice]) -> ModelDescription.Linear {
      linear(.joint, outputs, Rows(of: keyHeads * period, slices))
    }
    func small(_ start: Int) -> ModelDescription.Linear {
      linear(.jointSmall, valueHeads, Rows(of: 2 * valueHeads, [rows(start, group, 2 * group)]))
    }
    return Inputs(
      mixed: isGrouped
        ? large(
          channels, [rows(0, key, period), rows(key, key, period), rows(2 * key, own, period)])
        : linear(.mixed, channels, nil),
      gate: isGrouped
        ? large(values, [rows(2 * key + own, own, period)]) : linear(.gate, values, nil),
      learning: isSmallGrouped ? small(0) : linear(.learning, valueHeads, nil),
      decay: isSmallGrouped ? small(group) : linear(.decay, valueHeads, nil))
  }
}
