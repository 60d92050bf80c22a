/// What is derived from the rows, so that no decision has to look at all of them.
package struct FleetIndex: Sendable {
  package var people = PeopleIndex()
  package var clients = ClientIndex()
  package var work = WorkIndex()

  package init() {}
}
