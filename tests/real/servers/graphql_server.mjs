// GraphQL over WebSocket (graphql-transport-ws) by graphql-ws on ws: NPM-FOLDER PORT.
import { createRequire } from 'module';

const require = createRequire(process.argv[2] + '/');
const { GraphQLSchema, GraphQLObjectType, GraphQLInt, GraphQLString } = require('graphql');
const { useServer } = require('graphql-ws/use/ws');
const { WebSocketServer } = require('ws');

async function* count(_, { to }) {
  for (let number = 0; number < to; number++) yield { count: number };
}

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({
    name: 'Query',
    fields: { hello: { type: GraphQLString, args: { name: { type: GraphQLString } }, resolve: (_, { name }) => 'hello ' + name } },
  }),
  subscription: new GraphQLObjectType({
    name: 'Subscription',
    fields: { count: { type: GraphQLInt, args: { to: { type: GraphQLInt } }, subscribe: count } },
  }),
});
const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[3]), path: '/graphql' });
useServer({ schema, connectionInitWaitTimeout: 500, onConnect: (ctx) => ctx.connectionParams?.token === 'let me in' }, server, 300);
