import WireProtocol

extension Fleet {
  /// Saves a unit and performs what its event means for others.
  mutating func settle(
    _ row: UnitRow, before: UnitRow, _ actions: [WorkUnit.Action], summaries: [SequenceSummary]
  ) throws {}
  /// Takes back everything of a worker that is not verified yet.
  mutating func takeBack(worker: String) throws {}
  /// What an upload of this lease's result is answered.
  package func receipt(of unit: UnitRow, place: Int) -> ResultReceipt {
    ResultReceipt(state: .notNeeded, credit: 0)
  }
}
